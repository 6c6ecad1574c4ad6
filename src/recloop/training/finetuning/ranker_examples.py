"""Training examples of the ranker: pairs of behaviour and candidate, with labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.ranker.packing import behaviour_text
from recloop.scoring.top_k import Ranked
from recloop.training.modules.cross_encoder import RankerConfig


@dataclass(frozen=True)
class RankerExamples:
    """Pairs of texts with labels, in parallel.

    Attributes:
        behaviours: Behaviour of each pair, as `behaviour_text` makes it.
        candidates: Text of the candidate of each pair.
        labels: 1 if the user engaged with the candidate, else 0; `(pairs,)`, float32.
        requests: Number of the request that a pair belongs to, `(pairs,)`.
    """

    behaviours: list[str]
    candidates: list[str]
    labels: NDArray[np.float32]
    requests: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.behaviours)

    def take(self, rows: Rows) -> "RankerExamples":
        """Return these examples, whose numbers are `(taken,)`, in this order."""
        return RankerExamples(
            [self.behaviours[row] for row in rows],
            [self.candidates[row] for row in rows],
            self.labels[rows],
            self.requests[rows],
        )

    def shuffled(self, rng: np.random.Generator) -> Rows:
        """Return the numbers of the pairs `(pairs,)`, with the requests in random order.

        Pairs of one request stay together.
        """
        numbers, of = np.unique(self.requests, return_inverse=True)
        return np.argsort(rng.permutation(len(numbers))[of], kind="stable")

    def hold_out(
        self, share: float, rng: np.random.Generator
    ) -> tuple["RankerExamples", "RankerExamples"]:
        """Split into a training and a held-out part; requests are not divided."""
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
) -> RankerExamples:
    """Return each relevant item with hard and random negatives.

    Args:
        requests: Histories and relevant items.
        titles: Title of each item, by which histories are described.
        texts: Text of each item, by which candidates are described.
        candidates: Best rows of a channel, `(requests, depth)`, from which hard negatives are
            taken; -1 is an empty rank. Items that the user engages with later must be left out.
        config: Settings of the ranker.
        queries: Search query of each request.
    """
    rng = np.random.default_rng(config.seed)
    queries = queries or [None] * len(requests.histories)
    behaviours: list[str] = []
    rows: list[int] = []
    labels: list[float] = []
    numbers: list[int] = []
    for number, (history, relevant, query) in enumerate(
        zip(requests.histories, requests.relevant, queries, strict=True)
    ):
        read = [titles[row] for row in history[-config.history_length :]]
        behaviour = behaviour_text(read, query, config.history_length)
        taken = np.concatenate([history, relevant])
        for positive in relevant:
            negatives = _negatives(candidates[number], taken, len(texts), config, rng)
            rows += [int(positive), *negatives]
            labels += [1.0] + [0.0] * len(negatives)
        added = len(rows) - len(behaviours)
        behaviours += [behaviour] * added
        numbers += [number] * added
    shown = [texts[row] for row in rows]
    return RankerExamples(
        behaviours, shown, np.array(labels, np.float32), np.array(numbers, np.int64)
    )


def _negatives(
    candidates: Rows, taken: Rows, items: int, config: RankerConfig, rng: np.random.Generator
) -> list[int]:
    hard = np.setdiff1d(candidates[candidates >= 0], taken)
    chosen = rng.permutation(hard)[: config.hard_negatives]
    drawn = np.setdiff1d(rng.integers(items, size=config.random_negatives), taken)
    return [*chosen.tolist(), *drawn.tolist()]
