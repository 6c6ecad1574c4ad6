"""A small world for training: users walk through twelve items in a ring."""

from typing import Any

import numpy as np
import torch

from recloop.data.user_sequences import UserSequence, sequences_from_rows
from recloop.evaluation.evaluation_requests import Requests
from recloop.training.finetuning.sequence_model import FrozenTextVectors, TrainConfig
from recloop.training.modules.tower import TowerConfig

RING_REQUESTS = Requests([np.arange(4), np.arange(5, 9)], [np.array([4]), np.array([9])])


def ring_sequences() -> list[UserSequence]:
    """Return twenty users who walk through twelve items in a ring, from different places."""
    return sequences_from_rows((np.arange(9) + start) % 12 for start in range(20))


def ring_config(epochs: int = 30, **changes: Any) -> TrainConfig:
    """Return settings with which the ring is learned in a few seconds."""
    tower = TowerConfig(dim=16, layers=1, window=8, dropout=0.0, id_dropout=0.1)
    return TrainConfig(tower=tower, epochs=epochs, batch=8, learning_rate=1e-2, **changes)


def ring_texts() -> FrozenTextVectors:
    """Return random text vectors of the twelve items, `(12, 5)`."""
    rng = np.random.default_rng(0)
    return FrozenTextVectors(torch.tensor(rng.normal(size=(12, 5)), dtype=torch.float32))
