"""Collaborative item-item models: EASE and item-kNN, applied to a recency-decayed history."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.models.scope import EVERYTHING, Part, Rows, Scope
from recloop.models.scorer import Asked, Channel, History, Scores, fading

Dense = NDArray[np.float32]
Sparse = sparse.csr_matrix
Weights = TypeVar("Weights", bound=Dense | Sparse)

# Rows of a matrix that is filled by more than one in so many are summed up sooner written out.
_FULL = 16


class Links(NamedTuple):
    """What a history says of `rows`, each once; of others it says nothing."""

    rows: Rows
    said: Dense

    def put(self, scores: Dense, scope: Scope) -> None:
        """Into `(items in scope,)`."""
        places = scope.places(self.rows)
        met = places >= 0
        scores[places[met]] = self.said[met]


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
        for row, history in enumerate(histories):
            if isinstance(scope, Part):
                self.links(history).put(scores[row], scope)
            else:
                scores[row, self.rows] = self.said(history)
        return scores

    def said(self, history: History) -> Dense:
        """Of the items that the weights cover, `(len(rows),)`."""
        weights, places = self._weighed(history)
        if isinstance(self.weights, np.ndarray):
            said: Dense = weights @ self.weights[places]
            return said
        columns, each = _entries(weights, self.weights, places)
        summed = np.zeros(self.weights.shape[1], np.float32)
        np.add.at(summed, columns, each)
        return summed

    def links(self, history: History) -> Links:
        """The same without the items that a sparse matrix says nothing of, however many it covers."""
        if isinstance(self.weights, np.ndarray):
            return Links(self.rows, self.said(history))
        weights, places = self._weighed(history)
        told, each = _entries(weights, self.weights, places)
        columns, each_at = np.unique(told, return_inverse=True)
        said = np.bincount(each_at, each, len(columns)).astype(np.float32)
        return Links(self.rows[columns], said)

    def _weighed(self, history: History) -> tuple[Dense, History]:
        """Of the steps that the weights cover: what each counts, and its row of the weights."""
        steps, weights = fading(history, self.decay)
        places = self._place[steps]
        met = places >= 0
        return weights[met], places[met]


def quickest(weights: Sparse) -> Dense | Sparse:
    """The same, written out where it is so full that its rows are summed up sooner."""
    rows, columns = weights.shape
    full: Dense | Sparse = weights.toarray() if weights.nnz * _FULL > rows * columns else weights
    return full


def by_links(links: Callable[[Asked], Sequence[Links]], items: int) -> Channel:
    """A channel that knows what each history is linked to, of a catalogue of so many items."""

    def score(asked: Asked) -> Scores:
        found = links(asked)
        scores = np.zeros((len(found), asked.scope.size(items)), np.float32)
        for row, own in enumerate(found):
            own.put(scores[row], asked.scope)
        return scores

    return score


def _entries(weights: Dense, matrix: Sparse, rows: History) -> tuple[NDArray[np.int32], Dense]:
    """Columns and values of `weights @ matrix[rows]` before they are summed up; no rows are copied."""
    starts = matrix.indptr[rows]
    sizes = matrix.indptr[rows + 1] - starts
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)
    return matrix.indices[places], np.repeat(weights, sizes) * matrix.data[places]
