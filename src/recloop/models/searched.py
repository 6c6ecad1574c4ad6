"""Items as queries meet them: vectors of their texts, and words of their titles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.models.scorer import Scores
from recloop.models.titles import TitleIndex


class Searched:
    """The items of a packaged model; `vectors` are `(items, width)`."""

    def __init__(self, vectors: NDArray[np.float32], titles: TitleIndex) -> None:
        self.vectors = vectors
        self.titles = titles

    def vector(self, row: int) -> NDArray[np.float32]:
        """Of one item, `(width,)`."""
        vector: NDArray[np.float32] = self.vectors[row]
        return vector

    def similarity(self, vectors: NDArray[np.float32]) -> Scores:
        """Products of `(requests, width)` with all items, `(requests, items)`."""
        products: Scores = vectors @ self.vectors.T
        return products

    def match(self, queries: Sequence[str]) -> Scores:
        """How much of their titles queries share, `(requests, items)` in 0…1."""
        return np.stack([self.titles.match(query) for query in queries])


@dataclass(frozen=True)
class Changes:
    """Items told anew, or for the first time: their `rows` in a catalogue of `count`.

    `vectors` are `(rows, width)`.
    """

    count: int
    rows: Rows
    vectors: NDArray[np.float32]
    titles: Sequence[str | None]


class SearchedAnew(Searched):
    """Packaged items with changes, among which are all rows after the packaged ones.

    What words weigh stays as packaged.
    """

    def __init__(self, packaged: Searched, changes: Changes) -> None:
        super().__init__(packaged.vectors, packaged.titles)
        index = TitleIndex(changes.titles, packaged.titles.weigh)
        self._anew = Searched(changes.vectors, index)
        self._count, self._rows = changes.count, changes.rows
        self._place = {int(row): place for place, row in enumerate(changes.rows)}

    def vector(self, row: int) -> NDArray[np.float32]:
        """Of one item, as it is now, `(width,)`."""
        place = self._place.get(row)
        return super().vector(row) if place is None else self._anew.vector(place)

    def similarity(self, vectors: NDArray[np.float32]) -> Scores:
        """Products of `(requests, width)` with all items, `(requests, items)`."""
        return self._put(super().similarity(vectors), self._anew.similarity(vectors))

    def match(self, queries: Sequence[str]) -> Scores:
        """How much of their titles queries share, `(requests, items)` in 0…1."""
        return self._put(super().match(queries), self._anew.match(queries))

    def _put(self, packaged: Scores, anew: Scores) -> Scores:
        scores = np.zeros((len(packaged), self._count), np.float32)
        scores[:, : packaged.shape[1]] = packaged
        scores[:, self._rows] = anew
        return scores
