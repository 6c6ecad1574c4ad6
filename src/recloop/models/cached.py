"""Query vectors that are kept: the same text is read once."""

import threading
from typing import Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from recloop.models.query import Encoder


class Heard(Protocol):
    """Told of every query."""

    def __call__(self, *, hit: bool) -> None: ...


class CachedEncoder:
    """Another encoder with the vectors of its last `size` different queries. Thread-safe, as that one is.

    A vector that is handed out cannot be written to. Passages are not kept.
    """

    def __init__(self, encoder: Encoder, size: int, heard: Heard) -> None:
        self._encoder = encoder
        self._heard = heard
        self._lock = threading.Lock()
        self._kept: LRUCache[str, NDArray[np.float32]] = LRUCache(size)

    def encode(self, query: str) -> NDArray[np.float32]:
        """A unit vector `(width,)`."""
        with self._lock:
            vector: NDArray[np.float32] | None = self._kept.get(query)
        self._heard(hit=vector is not None)
        if vector is None:
            vector = self._encoder.encode(query).copy()
            vector.setflags(write=False)
            with self._lock:
                self._kept[query] = vector
        return vector

    def passage(self, text: str) -> NDArray[np.float32]:
        """The same of an item's text."""
        return self._encoder.passage(text)
