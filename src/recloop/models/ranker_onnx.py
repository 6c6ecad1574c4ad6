"""The ranker as it serves: ONNX, int8, without torch. Encoder-type models only."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from scipy.special import expit
from tokenizers import Tokenizer

from recloop.models.pairs import behaviour_text


class OnnxRanker:
    """Logits of engagement for a few candidates of one request."""

    def __init__(
        self, session: ort.InferenceSession, tokenizer: Tokenizer, shown: int, max_tokens: int
    ) -> None:
        self._session = session
        self._inputs = [node.name for node in session.get_inputs()]
        self._shown = shown
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def logits(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """`(candidates,)`; `behaviour` holds the texts of the history's items, oldest first."""
        if not candidates:
            return np.empty(0, np.float32)
        text = behaviour_text(behaviour, query, self._shown)
        read = self._tokenizer.encode_batch([(text, candidate) for candidate in candidates])
        shape = (len(read), max(len(encoding.ids) for encoding in read))
        # What is padded is masked, so any token will do.
        batch = {
            name: np.zeros(shape, np.int64)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        }
        for row, encoding in enumerate(read):
            length = len(encoding.ids)
            batch["input_ids"][row, :length] = encoding.ids
            batch["attention_mask"][row, :length] = encoding.attention_mask
            batch["token_type_ids"][row, :length] = encoding.type_ids
        (logits,) = self._session.run(None, {name: batch[name] for name in self._inputs})
        values: NDArray[np.float32] = logits[:, 0]
        return values

    def predict(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """Probabilities of engagement `(candidates,)`."""
        probabilities: NDArray[np.float32] = expit(self.logits(behaviour, query, candidates))
        return probabilities
