"""Cache of query vectors, so that a repeated query is encoded once."""

import threading
from typing import Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from recloop.scoring.query.matcher import Encoder


class CacheListener(Protocol):
    """Callback that is called on each look-up in the cache."""

    def __call__(self, *, hit: bool) -> None:
        """Count a hit or a miss."""


class CachedEncoder:
    """Encoder with an LRU cache of query vectors; as thread-safe as the encoder it wraps.

    Cached vectors are read-only. Item texts are not cached.

    Args:
        encoder: The encoder to wrap.
        size: Number of queries to keep.
        listener: Called after each look-up.
    """

    def __init__(self, encoder: Encoder, size: int, listener: CacheListener) -> None:
        self._encoder = encoder
        self._listener = listener
        self._lock = threading.Lock()
        self._vectors: LRUCache[str, NDArray[np.float32]] = LRUCache(size)

    def encode_query(self, query: str) -> NDArray[np.float32]:
        """Return the unit vector `(width,)` of a query."""
        with self._lock:
            vector: NDArray[np.float32] | None = self._vectors.get(query)
        self._listener(hit=vector is not None)
        if vector is None:
            vector = self._encoder.encode_query(query).copy()
            vector.setflags(write=False)
            with self._lock:
                self._vectors[query] = vector
        return vector

    def encode_passage(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector `(width,)` of an item's text."""
        return self._encoder.encode_passage(text)
