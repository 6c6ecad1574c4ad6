"""Candidate generators: likely best items by one channel, without scoring the whole catalogue."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from recloop.data.catalogue import Rows
from recloop.scoring.candidates.vector_index import VectorIndex
from recloop.scoring.channels.item_item import SparseScores
from recloop.scoring.scorer import Scores, ScoringRequests

# Returns at most the given number of rows for each request, concatenated, in any order.
CandidateGenerator = Callable[[ScoringRequests, int], Rows]

Value = TypeVar("Value")

_NO_ROWS = np.empty(0, np.int64)


def memoised_per_request(
    compute: Callable[[ScoringRequests], Value],
) -> Callable[[ScoringRequests], Value]:
    """Return a function that computes its value once for each batch of requests, in their memo.

    The candidate generator and the scorer of a channel share what both need, for example user
    vectors. `compute` must depend on histories and signals only, not on the candidates.
    """

    def memoised(requests: ScoringRequests) -> Value:
        if compute not in requests.memo:
            requests.memo[compute] = compute(requests)
        value: Value = requests.memo[compute]
        return value

    return memoised


def vector_candidates(
    index: VectorIndex, users: Callable[[ScoringRequests], Scores]
) -> CandidateGenerator:
    """Return a generator of the items with the largest dot products with the user vectors.

    Args:
        index: Index of the item vectors.
        users: Returns the user vectors, `(requests, dim)`.
    """
    return lambda requests, count: index.nearest(users(requests), count)


def item_item_candidates(
    score_sparsely: Callable[[ScoringRequests], Sequence[SparseScores]],
) -> CandidateGenerator:
    """Return a generator of the items that an item-item model scores highest and above 0.

    Args:
        score_sparsely: Returns the sparse scores of each request, `(items above 0,)` each.
    """

    def top_of(scores: SparseScores, count: int) -> Rows:
        positive = np.flatnonzero(scores.values > 0)
        return scores.rows[positive[top_positions(scores.values[positive], count)]]

    return lambda requests, count: np.concatenate(
        [_NO_ROWS, *(top_of(scores, count) for scores in score_sparsely(requests))]
    )


def popularity_candidates(counts: Scores, at_most: int) -> CandidateGenerator:
    """Return a generator of the most popular items, the same for every request.

    Args:
        counts: Popularity of each item, `(items,)`.
        at_most: Largest number of candidates that a request can need.
    """
    order = top_positions(counts, at_most)
    order = order[np.argsort(-counts[order], kind="stable")]
    return lambda _, count: order[:count]


def history_candidates() -> CandidateGenerator:
    """Return a generator of the items in the histories, for channels of repeat consumption.

    It returns the histories one after the other, `(steps of all histories,)`.
    """
    return lambda requests, _: np.concatenate([_NO_ROWS, *requests.histories])


def top_positions(values: Scores, count: int) -> Rows:
    """Return the positions of the `count` largest values, in any order; all if there are fewer.

    Args:
        values: Values, `(values,)`.
        count: Largest number of positions.

    Returns:
        Positions, `(min(count, values),)`.
    """
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count)[:count]
