"""An index of item vectors, in which the nearest are found without looking at each."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recloop.models.scope import Rows

if TYPE_CHECKING:
    from usearch.index import Index

COSINE, PRODUCT = "cos", "ip"

# Links of each vector, and how widely they are looked for: 128 took two to three times as long for .05
# to .08 more recall.
_LINKS, _WIDTH = 16, 64
# Vectors that are added at once.
_BATCH = 1 << 16
_NOTHING = np.empty(0, np.int64)


class VectorIndex:
    """A graph of item vectors by row, in which the nearest are found (HNSW, Malkov & Yashunin 2018)."""

    def __init__(self, index: "Index") -> None:
        self._index = index

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.floating],
        metric: str,
        among: NDArray[np.bool_] | None = None,
    ) -> "VectorIndex":
        """Of `(items, dim)`, or those `among` `(items,)`. Rows of zeros point nowhere and are left out.

        Cosines are kept in 8 bits, products in 16: what is found is scored anew.
        """
        kind = "i8" if metric == COSINE else "f16"
        index = _kind_of_index()(
            ndim=vectors.shape[1],
            metric=metric,
            dtype=kind,
            connectivity=_LINKS,
            expansion_add=_WIDTH,
        )
        for start in range(0, len(vectors), _BATCH):
            part = slice(start, start + _BATCH)
            batch = vectors[part].astype(np.float32)
            there = batch.any(1) if among is None else batch.any(1) & among[part]
            index.add(start + np.flatnonzero(there), batch[there])
        return cls(index)

    def save(self, path: Path) -> None:
        """Write it."""
        self._index.save(str(path))

    @classmethod
    def view(cls, path: Path) -> "VectorIndex":
        """What `save` wrote, left on disk and shared by all who look. Raises ValueError, OSError."""
        # Where a key is, nobody asks, and a table of that would not be shared.
        index = _kind_of_index().restore(str(path), view=True, enable_key_lookups=False)
        if index is None:
            raise ValueError(f"{path.name} is no index")
        return cls(index)

    def nearest(self, vectors: NDArray[np.float32], count: int) -> Rows:
        """Rows of at most `count` for each of `(requests, dim)`; a vector of zeros is near nothing."""
        asked = [vector for vector in vectors if vector.any()]
        found = [self._index.search(vector, count, threads=1).keys for vector in asked]
        return np.concatenate([_NOTHING, *found]).astype(np.int64)


def _kind_of_index() -> "type[Index]":
    # usearch makes its symbols global, and onnxruntime crashes where it is loaded after that.
    import onnxruntime  # noqa: F401, PLC0415
    from usearch.index import Index  # noqa: PLC0415

    return Index
