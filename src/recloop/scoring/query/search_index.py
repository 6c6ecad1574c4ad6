"""Index of the items for queries: text vectors and words of the titles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, sorted_union
from recloop.scoring.candidates.generators import top_positions
from recloop.scoring.candidates.pinned_rows import PinnedRows
from recloop.scoring.candidates.vector_index import VectorIndex
from recloop.scoring.layered_updates import push_layer
from recloop.scoring.query.title_index import TitleIndex
from recloop.scoring.scorer import Scores


class ItemSearchIndex:
    """Text vectors and title index of the items of a packaged model.

    Args:
        vectors: Unit text vectors, `(items, width)`.
        title_index: Index of the titles.
        vector_index: Index of the vectors, for catalogues that are too large to score as a whole.
        sample: Rows of the reference sample, with an index.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        title_index: TitleIndex,
        vector_index: VectorIndex | None = None,
        sample: Rows | None = None,
    ) -> None:
        self.vectors = vectors
        self.pinned = PinnedRows(vectors, sorted_union() if sample is None else sample)
        self.title_index = title_index
        self.vector_index = vector_index

    def updated_with(self, count: int, updates: "ItemUpdates") -> "ItemSearchIndex":
        """Return the index with some items changed or added, among `count` items in all.

        The weights of words stay as they are.
        """
        return UpdatedSearchIndex(self, count, (updates,))

    def vector(self, row: int) -> NDArray[np.float32]:
        """Return the text vector of an item, `(width,)`."""
        vector: NDArray[np.float32] = self.vectors[row].astype(np.float32, copy=False)
        return vector

    def similarity(
        self, vectors: NDArray[np.float32], candidates: Candidates = ALL_ITEMS
    ) -> Scores:
        """Return dot products with the items' vectors, `(requests, candidates)`.

        Args:
            vectors: Query vectors, `(requests, width)`.
            candidates: The items to score.
        """
        return self.pinned.dot_products(vectors, candidates)

    def title_match(self, queries: Sequence[str], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return how well titles match the queries, in [0, 1], `(requests, candidates)`."""
        return np.stack([self.title_index.match(query, candidates) for query in queries])

    def nearest(self, vector: NDArray[np.float32], count: int) -> Rows:
        """Return the rows of about `count` items most similar to `vector` `(width,)`, unordered."""
        if self.vector_index is None:
            return top_positions(self.similarity(vector[None])[0], count)
        return self.vector_index.nearest(vector[None], count)

    def title_candidates(self, query: str, count: int) -> Rows:
        """Return the rows of the items whose titles match best, unordered, at most `(count,)`."""
        return self.title_index.top_matches(query, count)


@dataclass(frozen=True)
class ItemUpdates:
    """Changed or added items, each with another row.

    Attributes:
        rows: Their rows, `(updates,)`.
        vectors: Their text vectors, `(updates, width)`.
        titles: The words of each title.
        word_weight: Returns the weight of a word.
    """

    rows: Rows
    vectors: NDArray[np.float32]
    titles: Sequence[set[str]]
    word_weight: Callable[[str], np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def merged_with(self, later: "ItemUpdates") -> "ItemUpdates":
        """Return both sets of updates; for a row that both have, `later` wins."""
        kept = ~np.isin(self.rows, later.rows)
        return ItemUpdates(
            np.concatenate([self.rows[kept], later.rows]),
            np.concatenate([self.vectors[kept], later.vectors]),
            [*compress(self.titles, kept), *later.titles],
            self.word_weight,
        )

    @cached_property
    def index(self) -> ItemSearchIndex:
        """Index of these items, by their position in `rows`."""
        return ItemSearchIndex(self.vectors, TitleIndex.from_words(self.titles, self.word_weight))


class UpdatedSearchIndex(ItemSearchIndex):
    """Index of the packaged items with layers of updates on top.

    All items after the packaged ones are in the layers. The weights of words stay as packaged.

    Args:
        packaged: Index of the packaged items.
        count: Number of all items.
        layers: Updates, oldest first.
    """

    def __init__(
        self, packaged: ItemSearchIndex, count: int, layers: Sequence[ItemUpdates]
    ) -> None:
        super().__init__(packaged.vectors, packaged.title_index, packaged.vector_index)
        self.pinned = packaged.pinned
        self._packaged, self._count, self._layers = packaged, count, layers
        self._updated = [(layer.rows, layer.index) for layer in layers]

    def updated_with(self, count: int, updates: ItemUpdates) -> "UpdatedSearchIndex":
        """Return the index with some items changed or added, among `count` items in all."""
        return UpdatedSearchIndex(self._packaged, count, push_layer(self._layers, updates))

    def vector(self, row: int) -> NDArray[np.float32]:
        """Return the present text vector of an item, `(width,)`."""
        for rows, index in reversed(self._updated):
            positions = np.flatnonzero(rows == row)
            if len(positions):
                return index.vector(positions[0])
        return super().vector(row)

    def similarity(
        self, vectors: NDArray[np.float32], candidates: Candidates = ALL_ITEMS
    ) -> Scores:
        """Return dot products with the items' vectors, `(requests, candidates)`.

        Args:
            vectors: Query vectors, `(requests, width)`.
            candidates: The items to score.
        """
        packaged = super().similarity(vectors, candidates.rows_below(len(self.vectors)))
        return self._overwrite(packaged, lambda index: index.similarity(vectors), candidates)

    def title_match(self, queries: Sequence[str], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return how well titles match the queries, in [0, 1], `(requests, candidates)`."""
        packaged = super().title_match(queries, candidates.rows_below(len(self.vectors)))
        return self._overwrite(packaged, lambda index: index.title_match(queries), candidates)

    def nearest(self, vector: NDArray[np.float32], count: int) -> Rows:
        """Return the rows of the items most similar to `vector` `(width,)`, ascending, `(items,)`.

        An updated item may be among them because of its packaged text.
        """
        updated = [rows[index.nearest(vector, count)] for rows, index in self._updated]
        return sorted_union(super().nearest(vector, count), *updated)

    def title_candidates(self, query: str, count: int) -> Rows:
        """Return the rows of the items whose titles match best, ascending, `(items,)`.

        An updated item may be among them because of its packaged title.
        """
        updated = [rows[index.title_candidates(query, count)] for rows, index in self._updated]
        return sorted_union(super().title_candidates(query, count), *updated)

    def _overwrite(
        self, packaged: Scores, score: Callable[[ItemSearchIndex], Scores], candidates: Candidates
    ) -> Scores:
        """Return scores `(requests, candidates)`: the packaged ones, overwritten layer by layer."""
        scores = np.zeros((len(packaged), candidates.size(self._count)), np.float32)
        scores[:, : packaged.shape[1]] = packaged
        for rows, index in self._updated:
            positions = candidates.positions(rows)
            scored = positions >= 0
            scores[:, positions[scored]] = score(index)[:, scored]
        return scores
