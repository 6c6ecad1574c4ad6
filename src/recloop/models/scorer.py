"""What every model is to the rest of the system: histories in, a score for each item out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recloop.data.trail import Signals, no_signals

History = NDArray[np.int64]
Scores = NDArray[np.float32]


# A spread below this is rounding, not preference.
_FLAT = 1e-6


class Scorer(Protocol):
    """Scores the whole catalogue. An empty history scores every item alike, except for popularity."""

    def score(self, histories: Sequence[History]) -> Scores:
        """Item rows, oldest first, per request → `(requests, items)`; higher is better."""
        ...


class Asked(Protocol):
    """Requests, as models see them: item rows, oldest first; signals of each step and moments if known."""

    @property
    def histories(self) -> Sequence[History]: ...
    @property
    def signals(self) -> Sequence[Signals] | None: ...
    @property
    def at(self) -> NDArray[np.float64] | None: ...


@dataclass(frozen=True)
class Histories:
    """The plainest `Asked`."""

    histories: Sequence[History]
    signals: Sequence[Signals] | None = None
    at: NDArray[np.float64] | None = None


Channel = Callable[[Asked], Scores]


def signals_of(asked: Asked) -> Sequence[Signals]:
    """What is known of each step; of none, where nothing was said."""
    return asked.signals or [no_signals(len(history)) for history in asked.histories]


def by_history(scorer: Scorer) -> Channel:
    """A channel that looks at the items alone."""
    return lambda asked: scorer.score(asked.histories)


def last_places(rows: History) -> History:
    """Each item once, where it occurs last."""
    return rows[last_steps(rows)]


def last_steps(rows: History) -> History:
    """The places where each item occurs last, in order."""
    _, last = np.unique(rows[::-1], return_index=True)
    places: History = np.sort(len(rows) - 1 - last)
    return places


def recency_weights(length: int, decay: float) -> NDArray[np.float32]:
    """`(length,)`, oldest first: 1 for the newest, `decay` for the one before it, and so on."""
    weights: NDArray[np.float32] = decay ** np.arange(length - 1, -1, -1, dtype=np.float32)
    return weights


def standardise(scores: Scores, known: NDArray[np.bool_] | None = None) -> Scores:
    """Zero mean and unit variance per request; a request that scores all items alike becomes zeros.

    With `known` `(items,)` only these count, and the others become zeros.
    """
    if known is None or known.all():
        centred = scores - scores.mean(1, keepdims=True)
        spread = centred.std(1, keepdims=True)
    else:
        counted = known.astype(np.float32)
        mean = np.einsum("ri,i->r", scores, counted) / max(known.sum(), 1)
        centred = (scores - mean[:, None]) * counted
        spread = deviation(centred, known)
    scaled: Scores = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > _FLAT)
    return scaled


def deviation(scores: Scores, known: NDArray[np.bool_]) -> Scores:
    """Standard deviation `(requests, 1)` over known items; their mean should be near zero."""
    counted, count = known.astype(np.float32), max(known.sum(), 1)
    mean = np.einsum("ri,i->r", scores, counted) / count
    squares = np.einsum("ri,ri,i->r", scores, scores, counted) / count
    spread: Scores = np.sqrt(np.maximum(squares - mean**2, 0)).astype(np.float32)[:, None]
    return spread
