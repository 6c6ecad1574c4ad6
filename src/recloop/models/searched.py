"""Items as queries meet them: vectors of their texts, and words of their titles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from recloop.models.at_hand import AtHand
from recloop.models.finders import best
from recloop.models.layers import layered
from recloop.models.scope import EVERYTHING, Rows, Scope, distinct
from recloop.models.scorer import Scores
from recloop.models.titles import TitleIndex
from recloop.models.vector_index import VectorIndex


class Searched:
    """The items of a packaged model; `vectors` are `(items, width)`.

    `index`: of the vectors, where there are too many to look at each, and `sample` the rows of those that
    every request looks at.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        titles: TitleIndex,
        index: VectorIndex | None = None,
        sample: Rows | None = None,
    ) -> None:
        self.vectors = vectors
        self.at_hand = AtHand(vectors, distinct() if sample is None else sample)
        self.titles = titles
        self.index = index

    def anew(self, count: int, changes: "Changes") -> "Searched":
        """After changes, among `count` items; what words weigh stays as it is."""
        return SearchedAnew(self, count, (changes,))

    def vector(self, row: int) -> NDArray[np.float32]:
        """Of one item, `(width,)`."""
        vector: NDArray[np.float32] = self.vectors[row].astype(np.float32, copy=False)
        return vector

    def similarity(self, vectors: NDArray[np.float32], scope: Scope = EVERYTHING) -> Scores:
        """Products of `(requests, width)` with items, `(requests, items in scope)`."""
        return self.at_hand.products(vectors, scope)

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
    """Items told anew, or for the first time, each of another row of the catalogue.

    `vectors` are `(rows, width)`, `titles` the words of each; `weigh` says what a word weighs.
    """

    rows: Rows
    vectors: NDArray[np.float32]
    titles: Sequence[set[str]]
    weigh: Callable[[str], np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def then(self, later: "Changes") -> "Changes":
        """Both; of the same row, `later` is true."""
        kept = ~np.isin(self.rows, later.rows)
        return Changes(
            np.concatenate([self.rows[kept], later.rows]),
            np.concatenate([self.vectors[kept], later.vectors]),
            [*compress(self.titles, kept), *later.titles],
            self.weigh,
        )

    @cached_property
    def searched(self) -> Searched:
        """To be looked through, by their places here."""
        return Searched(self.vectors, TitleIndex.of(self.titles, self.weigh))


class SearchedAnew(Searched):
    """Packaged items with layers of changes, among which are all rows after the packaged ones.

    `count`: of all rows. What words weigh stays as packaged.
    """

    def __init__(self, packaged: Searched, count: int, layers: Sequence[Changes]) -> None:
        super().__init__(packaged.vectors, packaged.titles, packaged.index)
        self.at_hand = packaged.at_hand
        self._packaged, self._count, self._layers = packaged, count, layers
        self._anew = [(layer.rows, layer.searched) for layer in layers]

    def anew(self, count: int, changes: Changes) -> "SearchedAnew":
        """After changes, among `count` items."""
        return SearchedAnew(self._packaged, count, layered(self._layers, changes))

    def vector(self, row: int) -> NDArray[np.float32]:
        """Of one item, as it is now, `(width,)`."""
        for rows, searched in reversed(self._anew):
            places = np.flatnonzero(rows == row)
            if len(places):
                return searched.vector(places[0])
        return super().vector(row)

    def similarity(self, vectors: NDArray[np.float32], scope: Scope = EVERYTHING) -> Scores:
        """Products of `(requests, width)` with items, `(requests, items in scope)`."""
        packaged = super().similarity(vectors, scope.below(len(self.vectors)))
        return self._put(packaged, lambda searched: searched.similarity(vectors), scope)

    def match(self, queries: Sequence[str], scope: Scope = EVERYTHING) -> Scores:
        """How much of their titles queries share, `(requests, items in scope)` in 0…1."""
        packaged = super().match(queries, scope.below(len(self.vectors)))
        return self._put(packaged, lambda searched: searched.match(queries), scope)

    def near(self, vector: NDArray[np.float32], count: int) -> Rows:
        """Rows of the most similar items, packaged and told anew; some as they were before."""
        anew = [rows[searched.near(vector, count)] for rows, searched in self._anew]
        return distinct(super().near(vector, count), *anew)

    def titled(self, query: str, count: int) -> Rows:
        """Rows of the items whose titles match best, packaged and told anew; some as they were before."""
        anew = [rows[searched.titled(query, count)] for rows, searched in self._anew]
        return distinct(super().titled(query, count), *anew)

    def _put(self, packaged: Scores, score: Callable[[Searched], Scores], scope: Scope) -> Scores:
        scores = np.zeros((len(packaged), scope.size(self._count)), np.float32)
        scores[:, : packaged.shape[1]] = packaged
        for rows, searched in self._anew:
            places = scope.places(rows)
            there = places >= 0
            scores[:, places[there]] = score(searched)[:, there]
        return scores
