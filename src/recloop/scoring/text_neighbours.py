"""Nearest warm items of new items, by the similarity of their texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.data.catalogue import Rows
from recloop.scoring.candidates.vector_index import VectorIndex
from recloop.scoring.scorer import Scores

# Neighbours of an item, and the power of the cosine by which they are weighted.
_NEIGHBOURS, _SHARPNESS = 20, 2
# Items that the index returns, of which the nearest are chosen by exact cosines.
_INDEX_RESULTS = 200
_BATCH = 1_024


@dataclass(frozen=True)
class TextNeighbours:
    """Nearest warm items of new items.

    Attributes:
        rows: Rows of the warm items, `(new items, at most 20)`.
        weights: Their weights, of the same shape; each row sums to 1, or to 0 where no warm item
            has a similar text.
    """

    rows: NDArray[np.int64]
    weights: NDArray[np.float32]

    def to_matrix(self, items: int) -> sparse.csr_matrix:
        """Return the weights as a sparse matrix `(new items, items)`."""
        numbers = np.repeat(np.arange(len(self.rows)), self.rows.shape[1])
        shape = (len(self.rows), items)
        matrix = sparse.csr_matrix(
            (self.weights.ravel(), (numbers, self.rows.ravel())), shape=shape
        )
        matrix.eliminate_zeros()
        return matrix

    def row(self, number: int) -> "TextNeighbours":
        """Return the neighbours of one new item."""
        return TextNeighbours(self.rows[[number]], self.weights[[number]])

    def updated_with(self, numbers: Rows, later: "TextNeighbours") -> "TextNeighbours":
        """Return a copy in which the new items of these numbers have later neighbours.

        Args:
            numbers: Numbers of the new items, `(updates,)`; ones beyond the last are appended.
            later: Their neighbours, in the same order.
        """
        size = max([len(self.rows), *(numbers + 1)])
        shape = (size - len(self.rows), self.rows.shape[1])
        rows = np.concatenate([self.rows, np.zeros(shape, np.int64)])
        weights = np.concatenate([self.weights, np.zeros(shape, np.float32)])
        rows[numbers], weights[numbers] = later.rows, later.weights
        return TextNeighbours(rows, weights)


def concatenate_neighbours(neighbours: Sequence[TextNeighbours]) -> TextNeighbours:
    """Return the neighbours of all these new items, in order."""
    return TextNeighbours(
        np.concatenate([each.rows for each in neighbours]),
        np.concatenate([each.weights for each in neighbours]),
    )


class TextNeighbourIndex:
    """Exact search for the warm items whose texts are most similar to other texts.

    Args:
        text: Text vectors of the catalogue, `(items, width)`; zeros for an item without text.
        warm: Whether an item is warm, `(items,)`.
    """

    def __init__(self, text: NDArray[np.floating], warm: NDArray[np.bool_]) -> None:
        self._rows = np.flatnonzero(warm & (text != 0).any(1))
        # The mean is subtracted: what all texts have in common makes no two of them similar.
        self._mean = text[self._rows].mean(0) if len(self._rows) else np.float32(0)
        self._vectors = _normalised(text[self._rows] - self._mean)

    def nearest(self, text: NDArray[np.floating]) -> TextNeighbours:
        """Return the neighbours of new items.

        Args:
            text: Text vectors of the new items, `(new items, width)`.
        """
        count = min(_NEIGHBOURS, len(self._rows))
        rows = np.zeros((len(text), count), np.int64)
        weights = np.zeros((len(text), count), np.float32)
        for start in range(0, len(text) if count else 0, _BATCH):
            batch = slice(start, start + _BATCH)
            cosines = _normalised(text[batch] - self._mean) @ self._vectors.T
            positions, weights[batch] = _weighted_nearest(cosines, count)
            rows[batch] = self._rows[positions]
        return TextNeighbours(rows, weights)


class ApproximateTextNeighbourIndex:
    """The same search in a large catalogue, whose vectors stay on disk.

    Args:
        text: Text vectors of the catalogue, `(items, width)`, may be memory-mapped.
        warm: Whether an item is warm, `(items,)`.
        index: Index of the text vectors; its results are compared by exact cosines.
        sample: Rows from which the mean text vector is estimated.
    """

    def __init__(
        self,
        text: NDArray[np.floating],
        warm: NDArray[np.bool_],
        index: VectorIndex,
        sample: Rows,
    ) -> None:
        self._text = text
        self._warm = warm
        self._index = index
        vectors = text[sample].astype(np.float32)
        vectors = vectors[vectors.any(1)]
        self._mean = vectors.mean(0) if len(vectors) else np.float32(0)

    def nearest(self, text: NDArray[np.float32]) -> TextNeighbours:
        """Return the neighbours of new items.

        Args:
            text: Text vectors of the new items, `(new items, width)`.
        """
        rows = np.zeros((len(text), _NEIGHBOURS), np.int64)
        weights = np.zeros(rows.shape, np.float32)
        for number, vector in enumerate(text):
            found = self._index.nearest(vector[None], _INDEX_RESULTS)
            found = found[self._warm[found]]
            vectors = _normalised(self._text[found].astype(np.float32) - self._mean)
            cosines = _normalised(vector[None] - self._mean) @ vectors.T
            count = min(_NEIGHBOURS, len(found))
            positions, weights[number : number + 1, :count] = _weighted_nearest(cosines, count)
            rows[number, :count] = found[positions[0]]
        return TextNeighbours(rows, weights)


def _weighted_nearest(cosines: Scores, count: int) -> tuple[Rows, Scores]:
    """Return positions and weights of the `count` largest cosines, each `(new items, count)`."""
    if not count:
        return np.zeros((len(cosines), 0), np.int64), np.zeros((len(cosines), 0), np.float32)
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    weights = np.maximum(np.take_along_axis(cosines, nearest, 1), 0) ** _SHARPNESS
    return nearest, weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def _normalised(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-9)
    return unit
