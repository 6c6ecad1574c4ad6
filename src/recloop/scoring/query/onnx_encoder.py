"""Text encoder that runs in ONNX Runtime."""

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer


class OnnxEncoder:
    """Text encoder in ONNX Runtime, int8; thread-safe.

    Args:
        session: Model from `input_ids` and `attention_mask` `(batch, tokens)` to unit vectors.
        tokenizer: Its tokenizer. Padding and truncation are set here.
        max_tokens: Longer texts are cut at their end.
        prefix: Text to put before each query, such as "query: " for e5 models.
        passage_prefix: Text to put before each item text.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        tokenizer: Tokenizer,
        max_tokens: int,
        prefix: str = "",
        passage_prefix: str = "",
    ) -> None:
        self._session = session
        self._prefix = prefix
        self._passage_prefix = passage_prefix
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def encode_query(self, query: str) -> NDArray[np.float32]:
        """Return the unit vector `(width,)` of a query, in the space of the item vectors."""
        return self._encode(self._prefix + query)

    def encode_passage(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector `(width,)` of an item's text."""
        return self._encode(self._passage_prefix + text)

    def _encode(self, text: str) -> NDArray[np.float32]:
        encoding = self._tokenizer.encode(text)
        inputs = {
            "input_ids": np.array([encoding.ids], np.int64),
            "attention_mask": np.array([encoding.attention_mask], np.int64),
        }
        (vectors,) = self._session.run(None, inputs)
        vector: NDArray[np.float32] = vectors[0]
        return vector
