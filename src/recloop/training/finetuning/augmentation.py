"""Augmentation of training sequences, against overfitting."""

from collections.abc import Sequence

import numpy as np

from recloop.config import ConfigModel
from recloop.data.user_sequences import UserSequence

# Windows that are shorter stay as they are.
_SHORT = 4


class Augment(ConfigModel):
    """Probabilities of each augmentation of a sequence (CL4SRec, Xie et al. 2022).

    Their effects are in benchmarks/results/overfitting.json.
    """

    crop: float = 0.0
    """Probability that a window is cut to a stretch of at least half of it."""
    reorder: float = 0.0
    """Probability that a stretch of a quarter of the window is shuffled."""
    mask: float = 0.0
    """Probability that an item of the window is hidden."""


def augmented(window: UserSequence, config: Augment, rng: np.random.Generator) -> UserSequence:
    """Return the window or a changed copy; masking is done by the trainer, on item vectors."""
    if config.crop and len(window) >= _SHORT and rng.random() < config.crop:
        size = int(rng.integers(max(2, len(window) // 2), len(window) + 1))
        start = int(rng.integers(len(window) - size + 1))
        window = window.select(slice(start, start + size))
    if config.reorder and len(window) >= _SHORT and rng.random() < config.reorder:
        size = max(2, len(window) // 4)
        start = int(rng.integers(len(window) - size + 1))
        order = np.arange(len(window))
        rng.shuffle(order[start : start + size])
        window = window.with_order(order)
    return window


def shuffled(sequences: Sequence[UserSequence], rng: np.random.Generator) -> list[UserSequence]:
    """Return each sequence with its steps in a random order, for data without an order.

    A causal model that is trained on all orders predicts an item of a set from any part of the
    rest.

    Reference:
        Uria et al. 2014, "A Deep and Tractable Density Estimator" (order-agnostic training).
    """
    return [sequence.select(rng.permutation(len(sequence))) for sequence in sequences]
