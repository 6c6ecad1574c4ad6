"""What the ranker learns from: pairs of behaviour and candidate, engaged with or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.pairs import behaviour_text
from recloop.models.ranker import RankerConfig
from recloop.models.ranking import Ranked


@dataclass(frozen=True)
class Examples:
    """Parallel: text A, text B, 1 where the candidate was engaged with, and the request's number."""

    behaviours: list[str]
    candidates: list[str]
    labels: NDArray[np.float32]
    requests: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.behaviours)

    def take(self, rows: Rows) -> "Examples":
        """These examples, in this order."""
        return Examples(
            [self.behaviours[row] for row in rows],
            [self.candidates[row] for row in rows],
            self.labels[rows],
            self.requests[rows],
        )

    def shuffled(self, rng: np.random.Generator) -> Rows:
        """Rows in a random order of the requests, those of one request together."""
        numbers, of = np.unique(self.requests, return_inverse=True)
        return np.argsort(rng.permutation(len(numbers))[of], kind="stable")

    def hold_out(self, share: float, rng: np.random.Generator) -> tuple["Examples", "Examples"]:
        """Training and held-out part; a request is in one of them as a whole."""
        numbers = rng.permutation(np.unique(self.requests))
        held = np.isin(self.requests, numbers[: round(share * len(numbers))])
        return self.take(np.flatnonzero(~held)), self.take(np.flatnonzero(held))


def make_examples(
    requests: Requests,
    titles: Sequence[str],
    texts: Sequence[str],
    candidates: Ranked,
    config: RankerConfig,
    queries: Sequence[str | None] | None = None,
) -> Examples:
    """Each relevant item with its negatives: high in the fast path's list, and random.

    `candidates` `(requests, depth)` are the fast path's best rows, -1 where there is none: leave out
    what the user engages with later, for it is no negative. Behaviour is told in the catalogue's
    `titles`, candidates in its `texts`.
    """
    rng = np.random.default_rng(config.seed)
    asked = queries or [None] * len(requests.histories)
    behaviours: list[str] = []
    rows: list[int] = []
    labels: list[float] = []
    numbers: list[int] = []
    for number, (history, relevant, query) in enumerate(
        zip(requests.histories, requests.relevant, asked, strict=True)
    ):
        read = [titles[row] for row in history[-config.shown :]]
        behaviour = behaviour_text(read, query, config.shown)
        taken = np.concatenate([history, relevant])
        for positive in relevant:
            negatives = _negatives(candidates[number], taken, len(texts), config, rng)
            rows += [int(positive), *negatives]
            labels += [1.0] + [0.0] * len(negatives)
        added = len(rows) - len(behaviours)
        behaviours += [behaviour] * added
        numbers += [number] * added
    shown = [texts[row] for row in rows]
    return Examples(behaviours, shown, np.array(labels, np.float32), np.array(numbers, np.int64))


def _negatives(
    candidates: Rows, taken: Rows, items: int, config: RankerConfig, rng: np.random.Generator
) -> list[int]:
    hard = np.setdiff1d(candidates[candidates >= 0], taken)
    chosen = rng.permutation(hard)[: config.hard_negatives]
    drawn = np.setdiff1d(rng.integers(items, size=config.random_negatives), taken)
    return [*chosen.tolist(), *drawn.tolist()]
