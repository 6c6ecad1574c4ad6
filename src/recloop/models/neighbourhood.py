"""The known items that are nearest in text to new ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.models.scope import Rows
from recloop.models.scorer import Scores
from recloop.models.vector_index import VectorIndex

# How many known items speak for a new one, and how much more the nearest of them says.
_NEAREST, _SHARPNESS = 20, 2
# How many an index names, of which these are the nearest.
_NAMED = 200
_CHUNK = 1_024


@dataclass(frozen=True)
class Nearest:
    """Known items `(new items, at most 20)` and how much each says, 1 together or 0 if none is like it."""

    rows: NDArray[np.int64]
    weights: NDArray[np.float32]

    def likeness(self, items: int) -> sparse.csr_matrix:
        """As a matrix `(new items, items)`."""
        new = np.repeat(np.arange(len(self.rows)), self.rows.shape[1])
        shape = (len(self.rows), items)
        likeness = sparse.csr_matrix((self.weights.ravel(), (new, self.rows.ravel())), shape=shape)
        likeness.eliminate_zeros()
        return likeness

    def of(self, number: int) -> "Nearest":
        """Of one new item."""
        return Nearest(self.rows[[number]], self.weights[[number]])

    def told(self, numbers: Rows, anew: "Nearest") -> "Nearest":
        """The same, but for these new items; later ones follow the last."""
        size = max([len(self.rows), *(numbers + 1)])
        shape = (size - len(self.rows), self.rows.shape[1])
        rows = np.concatenate([self.rows, np.zeros(shape, np.int64)])
        weights = np.concatenate([self.weights, np.zeros(shape, np.float32)])
        rows[numbers], weights[numbers] = anew.rows, anew.weights
        return Nearest(rows, weights)


def joined(nearest: Sequence[Nearest]) -> Nearest:
    """Of all these, one after the other."""
    return Nearest(
        np.concatenate([each.rows for each in nearest]),
        np.concatenate([each.weights for each in nearest]),
    )


class Neighbourhood:
    """The known items that have a text, to find the nearest of them to other texts."""

    def __init__(self, text: NDArray[np.floating], known: NDArray[np.bool_]) -> None:
        self._met = np.flatnonzero(known & (text != 0).any(1))
        # What all texts have in common makes none of them alike.
        self._common = text[self._met].mean(0) if len(self._met) else np.float32(0)
        self._theirs = _unit(text[self._met] - self._common)

    def nearest(self, text: NDArray[np.floating]) -> Nearest:
        """To each of `text` `(new items, width)`."""
        count = min(_NEAREST, len(self._met))
        columns = np.zeros((len(text), count), np.int64)
        weights = np.zeros((len(text), count), np.float32)
        for start in range(0, len(text) if count else 0, _CHUNK):
            part = slice(start, start + _CHUNK)
            cosines = _unit(text[part] - self._common) @ self._theirs.T
            nearest, weights[part] = _closest(cosines, count)
            columns[part] = self._met[nearest]
        return Nearest(columns, weights)


class IndexedNeighbourhood:
    """The same for so many items that their vectors are left where they are.

    The nearest are looked for among those that `index` names; what all texts have in common is taken
    from the items in `sample`.
    """

    def __init__(
        self,
        text: NDArray[np.floating],
        known: NDArray[np.bool_],
        index: VectorIndex,
        sample: Rows,
    ) -> None:
        self._text = text
        self._known = known
        self._index = index
        told = text[sample].astype(np.float32)
        told = told[told.any(1)]
        self._common = told.mean(0) if len(told) else np.float32(0)

    def nearest(self, text: NDArray[np.float32]) -> Nearest:
        """To each of `text` `(new items, width)`."""
        columns = np.zeros((len(text), _NEAREST), np.int64)
        weights = np.zeros(columns.shape, np.float32)
        for number, vector in enumerate(text):
            near = self._index.nearest(vector[None], _NAMED)
            near = near[self._known[near]]
            theirs = _unit(self._text[near].astype(np.float32) - self._common)
            cosines = _unit(vector[None] - self._common) @ theirs.T
            count = min(_NEAREST, len(near))
            closest, weights[number : number + 1, :count] = _closest(cosines, count)
            columns[number, :count] = near[closest[0]]
        return Nearest(columns, weights)


def _closest(cosines: Scores, count: int) -> tuple[Rows, Scores]:
    """Places of the nearest, and how much each says."""
    if not count:
        return np.zeros((len(cosines), 0), np.int64), np.zeros((len(cosines), 0), np.float32)
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    close = np.maximum(np.take_along_axis(cosines, nearest, 1), 0) ** _SHARPNESS
    return nearest, close / np.maximum(close.sum(1, keepdims=True), 1e-9)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-9)
    return unit
