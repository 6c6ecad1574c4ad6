"""The language model as the side of training that makes text vectors."""

import numpy as np
import torch
from torch import Tensor

from recloop.models.text import TextEncoder, Texts, encode_all
from recloop.models.tuning import RankBudget, tuned_weights
from recloop.training.device import Compute
from recloop.training.sequence import copied


class TunedText:
    """Item texts through an encoder whose trainable weights follow the recommendation loss.

    `passes` says how often `tune` will be called: AdaLoRA plans its ranks over all of its steps.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        texts: Texts,
        learning_rate: float,
        compute: Compute,
        passes: int = 1,
    ) -> None:
        self.encoder = encoder.to(compute.device)
        self._texts = texts
        self._compute = compute
        self._budget = RankBudget(encoder.backbone, passes * len(texts.batches))
        trainable = [p for p in encoder.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(trainable, learning_rate) if trainable else None
        self.vectors = self._encode()

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        """One optimiser step per batch of items, then all vectors anew. A frozen encoder stays."""
        if self._optimizer is None:
            return
        for batch in rng.permutation(len(self._texts.batches)):
            rows = self._texts.batches[batch]
            with self._compute.autocast():
                vectors = self.encoder(*self._texts.take(rows, self._compute.device))
            self._optimizer.zero_grad()
            vectors.backward(gradient[rows.to(gradient.device)])
            if (penalty := self._budget.penalty()) is not None:
                penalty.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._budget.spend()
        self.vectors = self._encode()

    def state(self) -> dict[str, Tensor]:
        return copied(tuned_weights(self.encoder))

    def restore(self, state: dict[str, Tensor]) -> None:
        self.encoder.load_state_dict(state, strict=False)

    def _encode(self) -> Tensor:
        with self._compute.autocast():
            return encode_all(self.encoder, self._texts, self._compute.device)
