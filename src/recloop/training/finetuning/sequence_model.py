"""Sequence model, its settings, and the source of its text vectors."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from recloop.columns import Event
from recloop.config import ConfigModel
from recloop.training.base_models import TextConfig
from recloop.training.device import DeviceName
from recloop.training.finetuning.augmentation import Augment
from recloop.training.modules.tower import ItemVectors, PooledDropout, TowerConfig, UserTower


class TrainConfig(ConfigModel):
    """Settings of the training of the sequence model and its text encoder.

    Values that are not set of `tower` (dim, layers, window, dropout, id_dropout), `text.tuning`,
    `epochs`, `negatives`, `share`, `validate_every` and `text_passes` are chosen from the
    statistics of the data (see `settings_from_data`).
    """

    seed: int = 42
    """Seed of the random numbers."""
    device: DeviceName = "auto"
    """Device of training; `auto`: on CUDA in bf16 if there is a GPU, else on the CPU."""
    text: TextConfig = TextConfig()
    """The text encoder."""
    tower: TowerConfig = TowerConfig()
    """The sequence model."""
    seconds: float = 900.0
    """Bound of the training time of the sequence model and of the language model. Measured speed
    decides how many epochs and updates of the language model fit into it."""
    items: int = 50_000
    """Number of items that the sequence model covers, the most popular ones. The other channels
    score the rest."""
    epochs: int = 16
    """Passes over the data, at most."""
    batch: int = 64
    """Histories in a step."""
    negatives: int = 0
    """Items drawn as negatives for each batch; 0: all items (full softmax), which is better below
    about 5,000 items."""
    share: float = 1.0
    """Share of the data in an epoch, drawn anew for each."""
    loss: Literal["softmax", "bce", "mse"] = "softmax"
    """`bce` needs `negatives`; `mse` predicts ratings and ignores events without one."""
    label_smoothing: float = 0.0
    """Label smoothing of the full softmax."""
    augment: Augment = Augment()
    """Augmentation of sequences."""
    patience: int = 0
    """Validations in a row without a better one that end training; 0: never. The best epoch is kept
    either way."""
    max_forgetting: float = 0.1
    """Largest relative loss of NDCG@10 on what an earlier model had learned; beyond it, training
    starts from scratch."""
    learning_rate: float = 2e-3
    """Learning rate of the sequence model."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    event_weights: dict[Event, NonNegativeFloat] = {}
    """Weight of an event as a target, 1 for events that are not named, such as `{purchase: 3}`."""
    validate_every: int = 2
    """Epochs between two validations."""
    text_passes: tuple[int, ...] = (3, 7)
    """Epochs after which the language model is updated."""
    text_learning_rate: float = 2e-4
    """Learning rate of the language model."""

    def continuing(self, epochs: int, share: float = 0.25) -> "TrainConfig":
        """Return the settings to continue a model on newer interactions.

        Args:
            epochs: Number of epochs that trained the model.
            share: Share of these epochs for which training continues.
        """
        return self.model_copy(update={"epochs": max(3, round(share * epochs)), "text_passes": ()})


class TextVectorSource(Protocol):
    """Source of text vectors `(items, width)`, which may be trained."""

    vectors: Tensor

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        """Take steps along `gradient` `(items, width)` and renew `vectors`."""

    def state(self) -> dict[str, Tensor]:
        """Return copies of the weights that `tune` changes, each in its shape."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Set the weights to those that `state` returned, in the same shapes."""


class FrozenTextVectors:
    """Text vectors that are not trained."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def tune(self, gradient: Tensor, rng: np.random.Generator) -> None:
        """Ignore the gradient `(items, width)`: the vectors are not trained."""

    def state(self) -> dict[str, Tensor]:
        """Return no weights, since none is trained."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Ignore the state, since no weights are trained."""


@dataclass
class SequenceModel:
    """The two trained modules, and the mask of the items that they were trained on.

    Attributes:
        items: Module of the item vectors.
        tower: Module of the user vectors.
        warm: Whether the modules were trained on an item, `(items,)`, bool.
    """

    items: ItemVectors
    tower: UserTower
    warm: Tensor

    def vectors(self, text: Tensor) -> Tensor:
        """Return vectors of all items for serving, `(items, dim)`; `text` is `(items, width)`."""
        self.items.eval()
        with torch.inference_mode():
            vectors: Tensor = self.items(text, self.warm)
        return vectors

    def train(self, device: torch.device) -> None:
        """Switch to training mode, with new dropout masks."""
        self.items.train()
        self.tower.train()
        for module in self.tower.modules():
            if isinstance(module, PooledDropout):
                module.refresh(device)

    def to(self, device: torch.device) -> "SequenceModel":
        """Move both modules to a device."""
        return SequenceModel(self.items.to(device), self.tower.to(device), self.warm.to(device))

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of both modules."""
        return [*self.items.parameters(), *self.tower.parameters()]


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return detached copies of tensors, each in its shape."""
    return {name: value.detach().clone() for name, value in state.items()}
