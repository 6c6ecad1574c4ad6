"""Learned ranking of the candidates of several channels, by their scores and ranks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import sorted_union
from recloop.scoring.scorer import Channel, History, Scores, ScoringRequests, standardise
from recloop.scoring.top_k import top_k

Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True)
class CandidateTable:
    """Candidates of several requests and their features.

    Attributes:
        rows: Distinct catalogue rows of each request's candidates, ascending.
        features: `(candidates of all requests, features)`: the standardised score of each channel,
            the logarithm of each channel's rank among the candidates, and that of 1 plus the length
            of the history.
    """

    rows: list[Rows]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class CandidateChannels:
    """Channels that propose candidates.

    Attributes:
        channels: Channels by name; popularity is among them where it is to be a feature.
        per_channel: Number of candidates of each channel.
        masked: Whether items of the history are no candidates.
    """

    channels: Mapping[str, Channel]
    per_channel: int
    masked: bool

    def table(self, requests: ScoringRequests) -> CandidateTable:
        """Return the union of each channel's best items for each request, and their features."""
        histories = requests.histories
        nothing: History = np.empty(0, np.int64)
        excluded = histories if self.masked else [nothing] * len(histories)
        scores = [standardise(channel(requests)) for channel in self.channels.values()]
        best = [top_k(each, excluded, self.per_channel)[0] for each in scores]
        rows = [
            sorted_union(*(ranked[number][ranked[number] >= 0] for ranked in best))
            for number in range(len(histories))
        ]
        parts = [
            _features([each[number, own] for each in scores], len(histories[number]))
            for number, own in enumerate(rows)
        ]
        width = 2 * len(self.channels) + 1
        return CandidateTable(rows, np.concatenate([np.empty((0, width), np.float32), *parts]))


class LearnedRanking:
    """Ranks the candidates by a learned function, and all other items below them by popularity.

    Args:
        candidates: Channels that propose the candidates.
        predict: Returns a value `(candidates,)` for features `(candidates, features)`; higher is
            better.
        popularity: Interactions of each item, `(items,)`.
    """

    def __init__(
        self, candidates: CandidateChannels, predict: Predict, popularity: NDArray[np.float32]
    ) -> None:
        self._candidates = candidates
        self._predict = predict
        self._others = popularity / (1 + popularity.max(initial=0))

    def __call__(self, requests: ScoringRequests) -> Scores:
        """Return scores `(requests, items)`."""
        table = self._candidates.table(requests)
        values = self._predict(table.features) if len(table.features) else np.empty(0)
        lowest = values.min(initial=0) - 1
        scores = np.tile((lowest - 1 + self._others).astype(np.float32), (len(table.rows), 1))
        ends = np.cumsum([len(rows) for rows in table.rows], dtype=np.int64)
        parts = np.split(values, ends)[:-1]
        for number, (rows, own) in enumerate(zip(table.rows, parts, strict=True)):
            scores[number, rows] = own
        return scores


def _features(scores: Sequence[Scores], length: int) -> NDArray[np.float32]:
    """Return the features `(candidates, features)` of one request; scores are `(candidates,)`."""
    values = np.stack(scores, 1)
    order = np.argsort(-values, axis=0, kind="stable")
    ranks = np.argsort(order, axis=0)
    lengths = np.full((len(values), 1), np.log1p(length))
    table: NDArray[np.float32] = np.hstack([values, np.log1p(ranks), lengths]).astype(np.float32)
    return table
