"""What is trained: the sequence model, its settings, and where its text vectors come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from recloop.columns import Event
from recloop.config import Settings
from recloop.data.catalogue import Rows
from recloop.models.bases import TextConfig
from recloop.models.tower import ItemVectors, PooledDropout, TowerConfig, UserTower
from recloop.training.augment import Augment
from recloop.training.device import DeviceName


class TrainConfig(Settings):
    """Everything that a training run depends on, besides the data.

    - `text_passes` are the epochs at whose end the language model takes its steps.
    - `negatives`: drawn for each batch in place of the whole catalogue; 0 is the full softmax.
    - `share` of the data is what an epoch passes over, drawn anew for each.
    - `loss`: binary cross-entropy needs `negatives`; `mse` is that of predicted ratings, and learns
      nothing from steps without one.
    - `label_smoothing` is for the full softmax.
    - `event_weights`: how much an event counts as a target, 1 where not told.
    - `max_forgetting`: of NDCG@10 on what an earlier model had learned, the share that continuing it may
      cost; beyond, training starts from scratch.
    - `patience`: judgements without a better one that end training; 0 never does, and the best epoch is
      kept anyway.
    """

    seed: int = 42
    device: DeviceName = "auto"
    text: TextConfig = TextConfig()
    tower: TowerConfig = TowerConfig()
    epochs: int = 16
    batch: int = 64
    negatives: int = 0
    share: float = 1.0
    loss: Literal["softmax", "bce", "mse"] = "softmax"
    label_smoothing: float = 0.0
    augment: Augment = Augment()
    patience: int = 0
    max_forgetting: float = 0.1
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    event_weights: dict[Event, NonNegativeFloat] = {}
    judge_every: int = 2
    text_passes: tuple[int, ...] = (3, 7)
    text_learning_rate: float = 2e-4

    def continuing(self, epochs: int, share: float = 0.25) -> "TrainConfig":
        """Settings for a model that `epochs` have trained, when newer interactions join the old.

        It goes on for a `share` of them.
        """
        return self.model_copy(update={"epochs": max(3, round(share * epochs)), "text_passes": ()})


class TextSide(Protocol):
    """Where text vectors `(items, width)` come from, and what a gradient does to them."""

    vectors: Tensor

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        """Take steps along `gradient` `(items, width)` and renew `vectors`."""

    def state(self) -> dict[str, Tensor]:
        """Copies of what `tune` changes."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""


# Of some items, by their rows: where their text vectors come from.
MakeSide = Callable[[Rows], TextSide]


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

    def train(self, device: torch.device) -> None:
        """Into training mode, with fresh dropout masks."""
        self.items.train()
        self.tower.train()
        for module in self.tower.modules():
            if isinstance(module, PooledDropout):
                module.refresh(device)

    def to(self, device: torch.device) -> "SequenceModel":
        """The same modules, moved."""
        return SequenceModel(self.items.to(device), self.tower.to(device), self.known.to(device))

    def parameters(self) -> list[nn.Parameter]:
        """All that the sequence loss trains, text side excepted."""
        return [*self.items.parameters(), *self.tower.parameters()]


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of their own, apart from any graph."""
    return {name: value.detach().clone() for name, value in state.items()}
