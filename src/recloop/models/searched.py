"""Items as queries meet them: vectors of their texts, and words of their titles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.models.finders import best
from recloop.models.scope import EVERYTHING, Rows, Scope, distinct
from recloop.models.scorer import Scores, products
from recloop.models.titles import TitleIndex
from recloop.models.vector_index import VectorIndex


class Searched:
    """The items of a packaged model; `vectors` are `(items, width)`.

    `index`: of the vectors, where there are too many to look at each.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        titles: TitleIndex,
        index: VectorIndex | None = None,
    ) -> None:
        self.vectors = vectors
        self.titles = titles
        self.index = index

    def vector(self, row: int) -> NDArray[np.float32]:
        """Of one item, `(width,)`."""
        vector: NDArray[np.float32] = self.vectors[row].astype(np.float32, copy=False)
        return vector

    def similarity(self, vectors: NDArray[np.float32], scope: Scope = EVERYTHING) -> Scores:
        """Products of `(requests, width)` with items, `(requests, items in scope)`."""
        return products(vectors, self.vectors, scope)

    def match(self, queries: Sequence[str], scope: Scope = EVERYTHING) -> Scores:
        """How much of their titles queries share, `(requests, items in scope)` in 0…1."""
        return np.stack([self.titles.match(query, scope) for query in queries])

    def near(self, vector: NDArray[np.float32], count: int) -> Rows:
        """Rows of about `count` items that are most similar to `(width,)`, in any order."""
        if self.index is None:
            return best(self.similarity(vector[None])[0], count)
        return self.index.nearest(vector[None], count)

    def titled(self, query: str, count: int) -> Rows:
        """Rows of at most `count` items whose titles match best, in any order."""
        return self.titles.find(query, count)


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

    def similarity(self, vectors: NDArray[np.float32], scope: Scope = EVERYTHING) -> Scores:
        """Products of `(requests, width)` with items, `(requests, items in scope)`."""
        packaged = super().similarity(vectors, scope.below(len(self.vectors)))
        return self._put(packaged, self._anew.similarity(vectors), scope)

    def match(self, queries: Sequence[str], scope: Scope = EVERYTHING) -> Scores:
        """How much of their titles queries share, `(requests, items in scope)` in 0…1."""
        packaged = super().match(queries, scope.below(len(self.vectors)))
        return self._put(packaged, self._anew.match(queries), scope)

    def near(self, vector: NDArray[np.float32], count: int) -> Rows:
        """Rows of the most similar items, packaged and told anew."""
        return distinct(super().near(vector, count), self._rows[self._anew.near(vector, count)])

    def titled(self, query: str, count: int) -> Rows:
        """Rows of the items whose titles match best, packaged and told anew."""
        return distinct(super().titled(query, count), self._rows[self._anew.titled(query, count)])

    def _put(self, packaged: Scores, anew: Scores, scope: Scope) -> Scores:
        scores = np.zeros((len(packaged), scope.size(self._count)), np.float32)
        scores[:, : packaged.shape[1]] = packaged
        places = scope.places(self._rows)
        there = places >= 0
        scores[:, places[there]] = anew[:, there]
        return scores
