"""Trainable text vectors: a language model that is tuned by the recommendation loss."""

import time

import numpy as np
import torch
from torch import Tensor

from recloop.training.device import Compute
from recloop.training.finetuning.sequence_model import copied
from recloop.training.modules.peft_methods import AdaLoraSchedule, trainable_weights
from recloop.training.modules.text_encoder import TextEncoder, TokenizedTexts, encode_all


class TrainableTextVectors:
    """Text vectors of an encoder whose weights are trained by the recommendation loss.

    `passes` is the number of calls of `tune`, by which AdaLoRA plans its ranks.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        texts: TokenizedTexts,
        learning_rate: float,
        compute: Compute,
        passes: int = 1,
    ) -> None:
        self.encoder = encoder.to(compute.device)
        self._texts = texts
        self._compute = compute
        self._budget = AdaLoraSchedule(encoder.backbone, passes * len(texts.batches))
        trainable = [p for p in encoder.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(trainable, learning_rate) if trainable else None
        started = time.monotonic()
        self.vectors = encode_all(self.encoder, texts, compute)
        self._encoding = time.monotonic() - started

    def pass_seconds(self) -> float:
        """Return about how long a call of `tune` takes, from the time of the first encoding.

        A training step of a text takes about three times its encoding, and all texts are encoded
        again afterwards. It is 0 if no weights are trained.
        """
        return 0.0 if self._optimizer is None else 4 * self._encoding

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        """Take one optimiser step for each batch of items, then encode all items again.

        Args:
            gradient: Gradient of the loss by the text vectors, `(items, width)`.
            rng: Random numbers for the order of the batches.
        """
        if self._optimizer is None:
            return
        gradient = gradient * self._texts.written.to(gradient.device).unsqueeze(1)
        for batch in rng.permutation(len(self._texts.batches)):
            rows = self._texts.batches[batch]
            with self._compute.forward(self._texts.max_tokens):
                vectors = self.encoder(*self._texts.pad_batch(rows, self._compute.device))
            self._optimizer.zero_grad()
            vectors.backward(gradient[rows.to(gradient.device)])
            if (penalty := self._budget.orthogonality_penalty()) is not None:
                penalty.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._budget.step()
        self.vectors = encode_all(self.encoder, self._texts, self._compute)

    def state(self) -> dict[str, Tensor]:
        """Return copies of the trained weights by name, each in its shape."""
        return copied(trainable_weights(self.encoder))

    def restore(self, state: dict[str, Tensor]) -> None:
        """Set the trained weights to those that `state` returned, in the same shapes."""
        self.encoder.load_state_dict(state, strict=False)
