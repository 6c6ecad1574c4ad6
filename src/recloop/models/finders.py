"""What may be best by one channel, without scoring all that there is."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime  # noqa: F401 - after usearch (2.26) it would crash the process as it loads
from numpy.typing import NDArray
from usearch.index import Index

from recloop.models.item_item import Dense, ItemItem, Sparse
from recloop.models.scope import Rows
from recloop.models.scorer import Asked, History, Scores

# Rows that may be among the best of these requests: at most so many by each, in any order.
Finder = Callable[[Asked, int], Rows]

COSINE, PRODUCT = "cos", "ip"
_NOTHING = np.empty(0, np.int64)
# Links of each vector, and how widely they are looked for: 128 took three times as long for .02 to .08
# more recall.
_LINKS, _WIDTH = 16, 64
# Vectors that are added at once.
_BATCH = 1 << 16


class VectorIndex:
    """A graph of item vectors, row by row, in which the nearest are found (HNSW, Malkov & Yashunin 2018)."""

    def __init__(self, index: Index) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: NDArray[np.floating], metric: str) -> "VectorIndex":
        """Of `(items, dim)`. Rows of zeros point nowhere and are left out.

        Cosines are kept in 8 bits, products in 16: what is found is scored anew.
        """
        kind = "i8" if metric == COSINE else "f16"
        index = Index(
            ndim=vectors.shape[1],
            metric=metric,
            dtype=kind,
            connectivity=_LINKS,
            expansion_add=_WIDTH,
        )
        for start in range(0, len(vectors), _BATCH):
            batch = np.asarray(vectors[start : start + _BATCH], np.float32)
            there = np.flatnonzero(batch.any(1))
            index.add(start + there, batch[there])
        return cls(index)

    def save(self, path: Path) -> None:
        """Write it."""
        self._index.save(str(path))

    @classmethod
    def view(cls, path: Path) -> "VectorIndex":
        """What `save` wrote, left on disk and shared by all who look. Raises ValueError, OSError."""
        index = Index.restore(str(path), view=True)
        if index is None:
            raise ValueError(f"{path.name} is no index")
        return cls(index)

    def nearest(self, vectors: Scores, count: int) -> Rows:
        """Rows of at most `count` for each of `(requests, dim)`; a vector of zeros is near nothing."""
        asked = [vector for vector in vectors if vector.any()]
        found = [self._index.search(vector, count, threads=1).keys for vector in asked]
        return np.concatenate([_NOTHING, *found]).astype(np.int64)


def by_vector(index: VectorIndex, users: Callable[[Asked], Scores]) -> Finder:
    """Of a channel that is a product: of what `users` `(requests, dim)` look for with item vectors."""
    return lambda asked, count: index.nearest(users(asked), count)


def by_links(model: ItemItem[Dense] | ItemItem[Sparse]) -> Finder:
    """Of an item-item model: the best of what has any link to the history."""

    def find(history: History, count: int) -> Rows:
        said = model.said(history)
        linked = np.flatnonzero(said > 0)
        return model.rows[linked[best(said[linked], count)]]

    return lambda asked, count: np.concatenate(
        [_NOTHING, *(find(history, count) for history in asked.histories if len(history))]
    )


def by_counts(counts: Scores, at_most: int) -> Finder:
    """Of a channel that is the same for everybody; no more than `at_most` are ever named."""
    order = best(counts, at_most)
    order = order[np.argsort(-counts[order], kind="stable")]
    return lambda _, count: order[:count]


def by_return() -> Finder:
    """Of what people come back to: the history."""
    return lambda asked, _: np.concatenate([_NOTHING, *asked.histories])


def best(values: Scores, count: int) -> Rows:
    """Places of at most `count` of the largest, in any order."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count)[:count]


def union(found: Sequence[Rows]) -> Rows:
    """Rows, ascending, each once."""
    return np.unique(np.concatenate([_NOTHING, *found]))
