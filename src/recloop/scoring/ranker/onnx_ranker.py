"""Ranker at serving time: a cross-encoder in ONNX Runtime, int8, without torch."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from scipy.special import expit
from tokenizers import Tokenizer

from recloop.scoring.ranker.packing import PairTokenizer, RankerForm, behaviour_text


class OnnxRanker:
    """Cross-encoder that scores a few candidates of one request.

    Args:
        session: Model from the fields of `PackedSequence`, batched, to logits.
        tokenizer: Its tokenizer.
        history_length: Number of items of the history that are read, the newest.
        max_tokens: Largest number of tokens of a history with one candidate.
        form: Form of the ranker.
        start_tokens: Token ids at the start of a sequence, for the form `yes-no`.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        tokenizer: Tokenizer,
        history_length: int,
        max_tokens: int,
        form: RankerForm = "classification",
        start_tokens: Sequence[int] = (),
    ) -> None:
        self._session = session
        self._history_length = history_length
        self._pair_tokenizer = PairTokenizer(tokenizer, max_tokens, form, start_tokens)

    def logits(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the logit of engagement for each candidate, `(candidates,)`, float32.

        Args:
            behaviour: Texts of the items of the history, oldest first.
            query: The search query, if there is one.
            candidates: Texts of the candidates.
        """
        if not candidates:
            return np.empty(0, np.float32)
        text = behaviour_text(behaviour, query, self._history_length)
        packed = self._pair_tokenizer.pack(text, candidates)
        inputs = {name: values[None] for name, values in packed._asdict().items()}
        (values,) = self._session.run(None, inputs | {"pool_positions": packed.pool_positions})
        logits: NDArray[np.float32] = values
        return logits

    def predict(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return the probability of engagement for each candidate, `(candidates,)`, float32."""
        probabilities: NDArray[np.float32] = expit(self.logits(behaviour, query, candidates))
        return probabilities
