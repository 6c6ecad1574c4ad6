"""Trainer of the sequence model; the optimiser keeps its state between epochs."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from recloop.data.user_sequences import UserSequence
from recloop.training.device import Compute
from recloop.training.finetuning.batches import PAD_TARGET, Batch
from recloop.training.finetuning.losses import (
    full_softmax,
    rating_mse,
    sampled_bce,
    sampled_softmax,
)
from recloop.training.finetuning.sequence_model import SequenceModel, TrainConfig

# The schedule's warm-up is a tenth of its steps, and needs one.
_LEAST = 20


class Trainer:
    """Training steps of the sequence model.

    `total` is the number of all steps, over which the learning rate is scheduled.

    Raises:
        ValueError: The loss needs negatives or ratings, and there are none.
    """

    def __init__(
        self,
        model: SequenceModel,
        sequences: Sequence[UserSequence],
        config: TrainConfig,
        compute: Compute,
        total: int,
    ) -> None:
        if config.loss == "bce" and not config.negatives:
            raise ValueError("binary cross-entropy needs negatives")
        self._ratings = _ratings(sequences) if config.loss == "mse" else (0.0, 1.0)
        self._model = model
        self._config = config
        self._compute = compute
        self._optimizer = torch.optim.AdamW(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, config.learning_rate, total_steps=max(total, _LEAST), pct_start=0.1
        )
        # Items that do not exist yet stay out of the softmax.
        self._rows = model.warm.nonzero()[:, 0]
        self._target_of = torch.full_like(model.warm, PAD_TARGET, dtype=torch.long)
        self._target_of[self._rows] = torch.arange(len(self._rows), device=compute.device)
        self._negatives = config.negatives if config.negatives < len(self._rows) else 0
        if self._negatives:
            self._share = _draws(sequences, model.warm).to(compute.device)
        losses = {"mse": self._rated, "bce": self._sampled}
        self._loss = losses.get(config.loss, self._sampled if self._negatives else self._full)

    def epoch(self, text: Tensor, data: Iterable[Batch]) -> float:
        """Train for one pass over the data and return the mean loss.

        Args:
            text: Text vectors, `(items, width)`; their gradient is accumulated if they require it.
            data: Batches of the pass.
        """
        device = self._compute.device
        self._model.train(device)
        losses = [self._take(text, batch.to(device)) for batch in data]
        return float(np.mean(losses))

    def _take(self, text: Tensor, batch: Batch) -> float:
        loss = self._loss(text, batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return loss.item()

    def _full(self, text: Tensor, batch: Batch) -> Tensor:
        vectors, users = self._everything(text, batch)
        real = batch.targets != PAD_TARGET
        return full_softmax(
            users[real],
            vectors[self._rows],
            self._target_of[batch.targets[real]],
            batch.weights[real],
            bf16=self._compute.bf16,
            smoothing=self._config.label_smoothing,
        )

    def _rated(self, text: Tensor, batch: Batch) -> Tensor:
        vectors, users = self._everything(text, batch)
        real = (batch.targets != PAD_TARGET) & ~batch.values.isnan()
        mean, spread = self._ratings
        wanted = (batch.values[real] - mean) / spread
        return rating_mse(users[real], vectors[batch.targets[real]], wanted, batch.weights[real])

    def _everything(self, text: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return vectors of all items, `(items, dim)`, and of the users at each step.

        The latter are `(batch, length, dim)`.
        """
        with self._compute.forward(self._config.tower.window):
            vectors = self._model.items(text, self._model.warm)
            users = self._model.tower(self._hidden(vectors[batch.inputs]), batch.signals)
        return vectors, users

    def _sampled(self, text: Tensor, batch: Batch) -> Tensor:
        inputs, real = batch.inputs, batch.targets != PAD_TARGET
        chosen, weights = batch.targets[real], batch.weights[real]
        drawn = torch.multinomial(self._share, self._negatives, replacement=True)
        # Only these items' vectors are needed, each once.
        every = torch.cat([inputs.flatten(), chosen, drawn])
        rows, positions = torch.unique(every, return_inverse=True)
        sizes = [inputs.numel(), len(chosen), len(drawn)]
        read, right, others = torch.split(positions, sizes)
        with self._compute.forward(self._config.tower.window):
            vectors = self._model.items(text, self._model.warm, rows)
            seen = self._hidden(vectors[read].view(*inputs.shape, -1))
            users = self._model.tower(seen, batch.signals)
        pairs = (users[real], vectors[right], vectors[others])
        hit = chosen[:, None] == drawn
        if self._config.loss == "bce":
            return sampled_bce(*pairs, hit, weights)
        return sampled_softmax(*pairs, self._negatives * self._share[drawn], hit, weights)

    def _hidden(self, read: Tensor) -> Tensor:
        """Return item vectors `(batch, length, dim)`, some of them masked if so configured."""
        share = self._config.augment.mask
        return read * (torch.rand_like(read[..., :1]) >= share) if share else read


def _ratings(sequences: Sequence[UserSequence]) -> tuple[float, float]:
    """Return mean and standard deviation of all ratings."""
    values = np.concatenate([sequence.values for sequence in sequences])
    if np.isnan(values).all():
        raise ValueError("the loss of ratings needs ratings")
    return float(np.nanmean(values)), max(float(np.nanstd(values)), 1e-3)


def _draws(sequences: Sequence[UserSequence], warm: Tensor) -> Tensor:
    """Return the probability of drawing each item, `(items,)`: half by popularity, half even."""
    rows = np.concatenate([sequence.rows for sequence in sequences])
    counts = torch.from_numpy(np.bincount(rows, minlength=len(warm)))
    return 0.5 * counts / counts.sum() + 0.5 * warm.cpu() / warm.sum().cpu()
