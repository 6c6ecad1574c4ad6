"""The content channel: how close an item's text is to the last items' texts, or to a query."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import History, Scores, products, recency_weights

_DECAY = 0.8


class Content:
    """`score = recency-weighted mean of the last items' text vectors · text vectors` (cosine)."""

    def __init__(self, text: NDArray[np.floating], last: int) -> None:
        self.text = text
        self._last = last

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        return products(self.users(histories), self.text, scope)

    def users(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """`(requests, width)`: unit vectors of what each met last, zeros for an empty history."""
        recent = [history[-self._last :] for history in histories]
        profiles = np.stack([recency_weights(len(h), _DECAY) @ self.text[h] for h in recent])
        norms = np.linalg.norm(profiles, axis=1, keepdims=True)
        users: NDArray[np.float32] = profiles / np.maximum(norms, 1e-9)
        return users


class QueryEncoder:
    """A text encoder as it serves: ONNX, int8. The prefixes are put before a query, and a passage."""

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

    def encode(self, query: str) -> NDArray[np.float32]:
        """A unit vector `(width,)` in the space of the items' vectors."""
        return self._read(self._prefix + query)

    def passage(self, text: str) -> NDArray[np.float32]:
        """A unit vector `(width,)` of an item's text."""
        return self._read(self._passage_prefix + text)

    def _read(self, text: str) -> NDArray[np.float32]:
        encoding = self._tokenizer.encode(text)
        inputs = {
            "input_ids": np.array([encoding.ids], np.int64),
            "attention_mask": np.array([encoding.attention_mask], np.int64),
        }
        (vectors,) = self._session.run(None, inputs)
        vector: NDArray[np.float32] = vectors[0]
        return vector
