"""What every model is to the rest of the system: histories in, a score for each item out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recloop.data.trail import Signals, no_signals
from recloop.models.scope import EVERYTHING, Scope

History = NDArray[np.int64]
Scores = NDArray[np.float32]

# A spread below this is rounding, not preference.
_FLAT = 1e-6
# What single precision cannot tell from nothing beside 1.
_ROUNDING = 2.0**-24
# Numbers of item vectors that are widened at once: what a cache holds.
_CHUNK = 1 << 17
# From half to single precision: bits of the fraction more, the bits that stay, the exponents' difference.
_SHIFT, _SIGN_AND_SIZE, _ZEROS = 13, np.int32(-0x70002000), np.float32(2.0**112)


class Scorer(Protocol):
    """Scores the items in scope. An empty history scores them all alike, except for popularity."""

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        """Item rows, oldest first, per request → `(requests, items)`; higher is better."""
        ...


class Asked(Protocol):
    """Requests, as models see them: item rows, oldest first; signals of each step and moments if known.

    `scope`: the items that are to be scored.
    """

    @property
    def histories(self) -> Sequence[History]: ...
    @property
    def signals(self) -> Sequence[Signals] | None: ...
    @property
    def at(self) -> NDArray[np.float64] | None: ...
    @property
    def scope(self) -> Scope: ...


@dataclass(frozen=True)
class Histories:
    """The plainest `Asked`."""

    histories: Sequence[History]
    signals: Sequence[Signals] | None = None
    at: NDArray[np.float64] | None = None
    scope: Scope = EVERYTHING


Channel = Callable[[Asked], Scores]


def signals_of(asked: Asked) -> Sequence[Signals]:
    """What is known of each step; of none, where nothing was said."""
    return asked.signals or [no_signals(len(history)) for history in asked.histories]


def by_history(scorer: Scorer) -> Channel:
    """A channel that looks at the items alone."""
    return lambda asked: scorer.score(asked.histories, asked.scope)


def last_places(rows: History) -> History:
    """Each item once, where it occurs last."""
    steps = last_steps(rows)
    return rows if len(steps) == len(rows) else rows[steps]


def last_steps(rows: History) -> History:
    """The places where each item occurs last, in order."""
    # Histories are short: a set has them before NumPy has sorted.
    each = rows.tolist()
    if len(set(each)) == len(each):
        return np.arange(len(each))
    last = {row: place for place, row in enumerate(each)}
    return np.sort(np.fromiter(last.values(), np.int64, len(last)))


def recency_weights(length: int, decay: float) -> NDArray[np.float32]:
    """`(length,)`, oldest first: 1 for the newest, `decay` for the one before it, and so on."""
    weights: NDArray[np.float32] = decay ** np.arange(length - 1, -1, -1, dtype=np.float32)
    return weights


def fading(rows: History, decay: float) -> tuple[History, NDArray[np.float32]]:
    """Each item once, where it occurs last, oldest first, and its recency weight.

    The old ones are left out that weigh so little that rounding loses them beside the newest.
    """
    met = last_places(rows)
    if 0 < decay < 1:
        met = met[-math.ceil(math.log(_ROUNDING) / math.log(decay)) :]
    return met, recency_weights(len(met), decay)


def products(users: Scores, items: NDArray[np.number], scope: Scope) -> Scores:
    """Of `users` `(requests, dim)` with the rows in scope of `items` `(all items, dim)`.

    Items in less than single precision are widened here, a part of them at a time.
    """
    if isinstance(scope.rows, slice):
        return np.asarray(users @ items[scope.rows].T, np.float32)
    size = max(_CHUNK // max(items.shape[1], 1), 1)
    chunks = (scope.rows[start : start + size] for start in range(0, len(scope.rows), size))
    found = [users @ widened(items.take(rows, axis=0)).T for rows in chunks]
    return np.concatenate([np.empty((len(users), 0), np.float32), *found], axis=1)


def widened(halves: NDArray[np.number]) -> Scores:
    """Finite numbers of half precision in single precision, as others are; single ones are left alone.

    NumPy converts halves one by one. Here the bits are moved to where single precision has them, and the
    exponents' different zeros made good by a factor (Giesen 2012).
    """
    if halves.dtype != np.float16:
        return halves.astype(np.float32, copy=False)
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= _SHIFT
    bits &= _SIGN_AND_SIZE
    single: Scores = bits.view(np.float32)
    single *= _ZEROS
    return single


def standardise(scores: Scores, counted: NDArray[np.generic] | None = None) -> Scores:
    """Zero mean and unit variance per request; a request that scores all items alike becomes zeros.

    With `counted` `(items,)`, truth values or weights, an item counts as often as that says, and those
    that do not count become zeros.
    """
    if counted is None or (counted.dtype == np.bool_ and counted.all()):
        centred = scores - scores.mean(1, keepdims=True)
        spread = centred.std(1, keepdims=True)
    else:
        weights = counted.astype(np.float32)
        mean = scores @ weights / _total(counted)
        centred = (scores - mean[:, None]) * (weights > 0)
        spread = deviation(centred, counted)
    scaled: Scores = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > _FLAT)
    return scaled


def deviation(scores: Scores, counted: NDArray[np.generic]) -> Scores:
    """Standard deviation `(requests, 1)`, items counted as often as that says; a mean near zero is best."""
    weights, count = counted.astype(np.float32), _total(counted)
    mean = scores @ weights / count
    squares = np.square(scores) @ weights / count
    spread: Scores = np.sqrt(np.maximum(squares - mean**2, 0)).astype(np.float32)[:, None]
    return spread


def _total(counted: NDArray[np.generic]) -> float:
    return max(float(counted.sum(dtype=np.float64)), 1.0)
