"""Popularity of the moment: what was interacted with shortly before a request, never after it."""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.models.scorer import Scores

_BUCKETS = 100
# Rows of the table times items: at most 400 MB.
_CELLS = 100_000_000


class Trend:
    """Log of each item's exponentially decayed count at the last bucket's end before the request.

    Buckets hold equal numbers of interactions; an unknown moment is the last one.
    """

    def __init__(
        self, items: Rows, times: NDArray[np.float64], catalogue: int, half_life: float
    ) -> None:
        known = ~np.isnan(times)
        order = np.argsort(times[known], kind="stable")
        items, times = items[known][order], times[known][order]
        buckets = max(1, min(_BUCKETS, _CELLS // catalogue))
        self._edges = np.unique(np.quantile(times, np.linspace(0, 1, buckets + 1)[1:]))
        self._table = np.zeros((len(self._edges) + 1, catalogue), np.float32)
        before, start = times[0], 0
        for row, edge in enumerate(self._edges):
            end = int(np.searchsorted(times, edge, side="right"))
            fresh = 0.5 ** ((edge - times[start:end]) / half_life)
            old = self._table[row] * 0.5 ** ((edge - before) / half_life)
            self._table[row + 1] = old + np.bincount(items[start:end], fresh, catalogue)
            before, start = edge, end

    def latest(self) -> NDArray[np.float32]:
        """`(items,)`: the counts once all that is known has happened."""
        counts: NDArray[np.float32] = self._table[-1]
        return counts

    def score(self, at: NDArray[np.float64]) -> Scores:
        """`(requests,)` moments in seconds → `(requests, items)`."""
        last = np.where(np.isnan(at), np.inf, at)
        rows = np.searchsorted(self._edges, last, side="right")
        scores: Scores = np.log1p(self._table[rows])
        return scores
