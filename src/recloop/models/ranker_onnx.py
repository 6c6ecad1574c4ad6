"""The ranker as it serves: ONNX, int8, without torch. Encoder-type models only."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from scipy.special import expit
from tokenizers import Tokenizer

from recloop.models.pairs import Reader, behaviour_text


class OnnxRanker:
    """Logits of engagement for a few candidates of one request."""

    def __init__(
        self, session: ort.InferenceSession, tokenizer: Tokenizer, shown: int, max_tokens: int
    ) -> None:
        self._session = session
        self._shown = shown
        self._reader = Reader(tokenizer, max_tokens)

    def logits(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """`(candidates,)`; `behaviour` holds the texts of the history's items, oldest first."""
        if not candidates:
            return np.empty(0, np.float32)
        sheet = self._reader.sheet(behaviour_text(behaviour, query, self._shown), candidates)
        inputs = {name: values[None] for name, values in sheet._asdict().items()}
        (values,) = self._session.run(None, inputs | {"ends": sheet.ends})
        logits: NDArray[np.float32] = values
        return logits

    def predict(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """Probabilities of engagement `(candidates,)`."""
        probabilities: NDArray[np.float32] = expit(self.logits(behaviour, query, candidates))
        return probabilities
