"""Approximate nearest-neighbour index of item vectors."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows

if TYPE_CHECKING:
    from usearch.index import Index

COSINE, DOT_PRODUCT = "cos", "ip"

# Links of each vector, and vectors that are compared while one is added. With 128 compared,
# building took two to three times as long for .05 to .08 more recall.
_CONNECTIVITY, _EXPANSION = 16, 64
_BATCH = 1 << 16
_EMPTY = np.empty(0, np.int64)


class VectorIndex:
    """Index of item vectors by row (HNSW), built in memory and used from a memory-mapped file.

    Reference:
        Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search using
        Hierarchical Navigable Small World graphs".
    """

    def __init__(self, index: "Index") -> None:
        self._index = index

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.floating],
        metric: str,
        included: NDArray[np.bool_] | None = None,
    ) -> "VectorIndex":
        """Build the index.

        Cosine vectors are stored in 8 bits, dot-product vectors in 16: results are scored again
        with the exact vectors. Vectors of zeros have no direction and are left out.

        Args:
            vectors: Item vectors, `(items, width)`.
            metric: `COSINE` or `DOT_PRODUCT`.
            included: Whether an item is indexed, `(items,)`; all by default.
        """
        index = _index_class()(
            ndim=vectors.shape[1],
            metric=metric,
            dtype="i8" if metric == COSINE else "f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION,
        )
        for start in range(0, len(vectors), _BATCH):
            part = slice(start, start + _BATCH)
            batch = vectors[part].astype(np.float32)
            added = batch.any(1) if included is None else batch.any(1) & included[part]
            index.add(start + np.flatnonzero(added), batch[added])
        return cls(index)

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        self._index.save(str(path))

    @classmethod
    def view(cls, path: Path) -> "VectorIndex":
        """Open a saved index memory-mapped, so that all processes share it.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not an index.
        """
        # The table from keys to vectors is not needed, and it would not be shared.
        index = _index_class().restore(str(path), view=True, enable_key_lookups=False)
        if index is None:
            raise ValueError(f"{path.name} is not a vector index.")
        return cls(index)

    def nearest(self, vectors: NDArray[np.float32], count: int) -> Rows:
        """Return the nearest items of all vectors, concatenated.

        Args:
            vectors: Query vectors, `(requests, width)`; vectors of zeros are skipped.
            count: Largest number of items for each vector.
        """
        queries = [vector for vector in vectors if vector.any()]
        found = [self._index.search(vector, count, threads=1).keys for vector in queries]
        return np.concatenate([_EMPTY, *found]).astype(np.int64)


def _index_class() -> "type[Index]":
    # usearch exports its symbols globally, and onnxruntime crashes if it is loaded afterwards.
    import onnxruntime  # noqa: F401, PLC0415
    from usearch.index import Index  # noqa: PLC0415

    return Index
