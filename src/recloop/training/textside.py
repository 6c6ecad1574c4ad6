"""The language model as the side of training that makes text vectors."""

import numpy as np
import torch
from torch import Tensor

from recloop.models.text import TextEncoder, Texts, encode_all
from recloop.training.device import Compute
from recloop.training.finetune import copied


class TunedText:
    """Item texts through an encoder whose trainable weights follow the recommendation loss."""

    def __init__(
        self, encoder: TextEncoder, texts: Texts, learning_rate: float, compute: Compute
    ) -> None:
        self.encoder = encoder.to(compute.device)
        self._texts = texts
        self._compute = compute
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
            self._optimizer.step()
        self.vectors = self._encode()

    def state(self) -> dict[str, Tensor]:
        return copied({n: p for n, p in self.encoder.named_parameters() if p.requires_grad})

    def restore(self, state: dict[str, Tensor]) -> None:
        self.encoder.load_state_dict(state, strict=False)

    def _encode(self) -> Tensor:
        with self._compute.autocast():
            return encode_all(self.encoder, self._texts, self._compute.device)
