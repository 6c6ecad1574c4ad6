"""Training the sequence model, and through its loss whatever makes the text vectors.

The loss reaches a language model exactly, without re-encoding the catalogue at every step: text
vectors are a leaf of the graph during an epoch, and the gradient gathered there is handed to the
text side, which sends it through its encoder (gradient caching, Gao et al. 2021). Knows tensors,
not files, and no language model.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recloop.config import Settings
from recloop.data.catalogue import Rows
from recloop.models.bases import TextConfig
from recloop.models.tower import ItemVectors, PooledDropout, TowerConfig, UserTower
from recloop.training.batches import PAD_TARGET, batches, cut_windows
from recloop.training.device import Compute, DeviceName
from recloop.training.losses import full_softmax


class TrainConfig(Settings):
    """Everything that a training run depends on, besides the data.

    `text_passes` are the epochs at whose end the language model takes its steps.
    """

    seed: int = 42
    device: DeviceName = "auto"
    text: TextConfig = TextConfig()
    tower: TowerConfig = TowerConfig()
    epochs: int = 16
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    judge_every: int = 2
    text_passes: tuple[int, ...] = (3, 7)
    text_learning_rate: float = 2e-4


class TextSide(Protocol):
    """Where text vectors `(items, width)` come from, and what a gradient does to them."""

    vectors: Tensor

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        """Take steps along `gradient` `(items, width)` and renew `vectors`."""

    def state(self) -> dict[str, Tensor]:
        """Copies of what `tune` changes."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""


class FrozenText:
    """Vectors that stay as they are."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        del gradient, rng

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        del state


@dataclass
class SequenceModel:
    """The two trained modules, and which items they have seen `(items,)`."""

    items: ItemVectors
    tower: UserTower
    known: Tensor

    def vectors(self, text: Tensor) -> Tensor:
        """Vectors of all items for serving, `(items, dim)`."""
        self.items.eval()
        with torch.inference_mode():
            vectors: Tensor = self.items(text, self.known)
        return vectors

    def parameters(self) -> list[nn.Parameter]:
        """All that the sequence loss trains, text side excepted."""
        return [*self.items.parameters(), *self.tower.parameters()]


@dataclass
class History:
    """What happened, an entry per epoch: loss, and NDCG@10 where it was judged."""

    epochs: list[dict[str, float]] = field(default_factory=list)

    def best_epochs(self) -> int:
        """How many epochs gave the best judgement; all of them where none was judged."""
        judged = [entry for entry in self.epochs if "ndcg@10" in entry]
        best = max(judged, key=lambda entry: entry["ndcg@10"], default=self.epochs[-1])
        return int(best["epoch"])

    def best_quality(self) -> float:
        """The best judgement, 0 where none was made."""
        return max((entry.get("ndcg@10", 0.0) for entry in self.epochs), default=0.0)


Judge = Callable[[SequenceModel, Tensor], float]
Progress = Callable[[dict[str, float]], None]


def fit(
    sequences: Sequence[Rows],
    text: TextSide,
    config: TrainConfig,
    compute: Compute,
    *,
    stop_after: int | None = None,
    judge: Judge | None = None,
    progress: Progress = lambda _: None,
) -> tuple[SequenceModel, History]:
    """Train on users' item sequences.

    With `judge`, the model and the text side end as they were at the best judged epoch.
    `stop_after` ends the same schedule early, to repeat a run that judged best there.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = _build(sequences, text, config, compute.device)
    windows = cut_windows(sequences, config.tower.window)
    step = _Step(model, len(windows), config, compute)
    history, best, restore = History(), -1.0, None
    for epoch in range(1, (stop_after or config.epochs) + 1):
        tunes_text = epoch in config.text_passes
        leaf = text.vectors.detach().requires_grad_(tunes_text)
        loss = step.epoch(leaf, batches(windows, config.batch, rng))
        if leaf.grad is not None:
            text.tune(leaf.grad, rng)
        entry = {"epoch": float(epoch), "loss": loss}
        if judge is not None and epoch % config.judge_every == 0:
            entry["ndcg@10"] = judge(model, text.vectors)
            if entry["ndcg@10"] > best:
                best, restore = entry["ndcg@10"], _remember(model, text)
        history.epochs.append(entry)
        progress(entry)
    if restore is not None:
        restore()
    return model, history


def _build(
    sequences: Sequence[Rows], text: TextSide, config: TrainConfig, device: torch.device
) -> SequenceModel:
    count, width = text.vectors.shape
    known = torch.zeros(count, dtype=torch.bool)
    known[np.unique(np.concatenate(sequences))] = True
    items = ItemVectors(count, width, config.tower).to(device)
    return SequenceModel(items, UserTower(config.tower).to(device), known.to(device))


class _Step:
    """One epoch after another, with the optimiser's state between them."""

    def __init__(
        self, model: SequenceModel, windows: int, config: TrainConfig, compute: Compute
    ) -> None:
        self._model = model
        self._compute = compute
        self._optimizer = torch.optim.AdamW(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            config.learning_rate,
            total_steps=config.epochs * -(-windows // config.batch),
            pct_start=0.1,
        )
        # Items that do not exist yet stay out of the softmax.
        self._softmax_rows = model.known.nonzero()[:, 0]
        self._place = torch.full_like(model.known, PAD_TARGET, dtype=torch.long)
        self._place[self._softmax_rows] = torch.arange(
            len(self._softmax_rows), device=compute.device
        )

    def epoch(self, text: Tensor, data: Iterable[tuple[Tensor, Tensor]]) -> float:
        """Mean loss of one pass over the data."""
        self._model.items.train()
        self._model.tower.train()
        for module in self._model.tower.modules():
            if isinstance(module, PooledDropout):
                module.refresh(self._compute.device)
        losses = [self._batch(text, inputs, targets) for inputs, targets in data]
        return float(np.mean(losses))

    def _batch(self, text: Tensor, inputs: Tensor, targets: Tensor) -> float:
        device = self._compute.device
        inputs, targets = inputs.to(device), targets.to(device)
        with self._compute.autocast():
            vectors = self._model.items(text, self._model.known)
            users = self._model.tower(vectors[inputs])
        real = targets != PAD_TARGET
        loss = full_softmax(users[real], vectors[self._softmax_rows], self._place[targets[real]])
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return loss.item()


def _remember(model: SequenceModel, text: TextSide) -> Callable[[], None]:
    """What brings both back to how they are now."""
    items, tower = copied(model.items.state_dict()), copied(model.tower.state_dict())
    tuned, vectors = text.state(), text.vectors

    def restore() -> None:
        model.items.load_state_dict(items)
        model.tower.load_state_dict(tower)
        text.restore(tuned)
        text.vectors = vectors

    return restore


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of their own, apart from any graph."""
    return {name: value.detach().clone() for name, value in state.items()}
