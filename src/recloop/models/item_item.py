"""Collaborative item-item models: EASE and item-kNN, applied to a recency-decayed history."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.models.scorer import History, Scores, last_places, recency_weights

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

    def score(self, histories: Sequence[History]) -> Scores:
        histories = [last_places(history) for history in histories]
        rows = [self._place[history] for history in histories]
        weights = [recency_weights(len(history), self.decay) for history in histories]
        ends = np.cumsum([0, *map(len, histories)])
        data, columns = np.concatenate(weights), np.concatenate(rows)
        data, columns = np.where(columns < 0, 0, data), np.maximum(columns, 0)
        shape = (len(histories), len(self.rows))
        recent = sparse.csr_matrix((data, columns, ends), shape=shape)
        scores = np.zeros((len(histories), self.items), np.float32)
        found = recent @ self.weights
        scores[:, self.rows] = found.toarray() if sparse.issparse(found) else found
        return scores
