"""What may be best by one channel, without scoring all that there is."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from recloop.models.item_item import Links
from recloop.models.scope import Rows
from recloop.models.scorer import Asked, Scores
from recloop.models.vector_index import VectorIndex

# Rows that may be among the best of these requests: at most so many by each, in any order.
Finder = Callable[[Asked, int], Rows]

Found = TypeVar("Found")

_NOTHING = np.empty(0, np.int64)


class Once(Generic[Found]):
    """A function of what is asked, worked out once for those who ask the same one after the other.

    Each thread remembers its own last one.
    """

    def __init__(self, work: Callable[[Asked], Found]) -> None:
        self._work = work
        self._last = threading.local()

    def __call__(self, asked: Asked) -> Found:
        """As the function has it."""
        if getattr(self._last, "histories", None) is not asked.histories:
            self._last.found, self._last.histories = self._work(asked), asked.histories
        found: Found = self._last.found
        return found


def by_vector(index: VectorIndex, users: Callable[[Asked], Scores]) -> Finder:
    """Of a channel that is a product: of what `users` `(requests, dim)` look for with item vectors."""
    return lambda asked, count: index.nearest(users(asked), count)


def linked(links: Callable[[Asked], Sequence[Links]]) -> Finder:
    """Of an item-item model: the best of what speaks for the history."""

    def find(own: Links, count: int) -> Rows:
        likely = np.flatnonzero(own.said > 0)
        return own.rows[likely[best(own.said[likely], count)]]

    return lambda asked, count: np.concatenate(
        [_NOTHING, *(find(own, count) for own in links(asked))]
    )


def by_counts(counts: Scores, at_most: int) -> Finder:
    """Of a channel that is the same for everybody; no more than `at_most` are ever named."""
    order = best(counts, at_most)
    order = order[np.argsort(-counts[order], kind="stable")]
    return lambda _, count: order[:count]


def by_return() -> Finder:
    """Of what people come back to: the history."""
    return lambda asked, _: np.concatenate([_NOTHING, *asked.histories])


def best(values: Scores, count: int) -> Rows:
    """Places of at most `count` of the largest, in any order."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count)[:count]
