"""Collaborative item-item models: EASE and item-kNN, applied to a recency-decayed history."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import History, Scores, fading

Dense = NDArray[np.float32]
Sparse = sparse.csr_matrix
Weights = TypeVar("Weights", bound=Dense | Sparse)


class ItemItem(Generic[Weights]):
    """`score = decayed history @ weights`, over the catalogue's `rows` that the weights cover.

    Of repeats in a history, the last place counts.
    """

    def __init__(self, weights: Weights, rows: NDArray[np.int64], items: int, decay: float) -> None:
        self.weights = weights
        self.rows = rows
        self.items = items
        self.decay = decay
        self._place = np.full(items, -1, np.int64)
        self._place[rows] = np.arange(len(rows))

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        scores = np.zeros((len(histories), scope.size(self.items)), np.float32)
        places, columns = self._covered(scope)
        for row, history in enumerate(histories):
            scores[row, places] = self.said(history)[columns]
        return scores

    def said(self, history: History) -> Dense:
        """Of the items that the weights cover, `(len(rows),)`."""
        steps, weights = fading(history, self.decay)
        places = self._place[steps]
        met = places >= 0
        return _weighed(weights[met], self.weights, places[met])

    def _covered(self, scope: Scope) -> tuple[History, History | slice]:
        """Places in scope that the weights cover, and where these stand among `rows`."""
        if isinstance(scope.rows, slice):
            return self.rows, scope.rows
        columns = self._place[scope.rows]
        places = np.flatnonzero(columns >= 0)
        return places, columns[places]


def _weighed(weights: Dense, matrix: Dense | Sparse, rows: History) -> Dense:
    """`weights @ matrix[rows]`, `(columns,)`; of a sparse matrix without making another of its rows."""
    if isinstance(matrix, np.ndarray):
        said: Dense = weights @ matrix[rows]
        return said
    starts = matrix.indptr[rows]
    sizes = matrix.indptr[rows + 1] - starts
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)
    each = np.repeat(weights, sizes) * matrix.data[places]
    summed = np.zeros(matrix.shape[1], np.float32)
    np.add.at(summed, matrix.indices[places], each)
    return summed
