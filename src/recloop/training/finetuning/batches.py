"""Training windows: stretches of users' sequences, padded into batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recloop.data.user_sequences import UserSequence, pad_sequences
from recloop.training.finetuning.augmentation import Augment, augmented

PAD_TARGET = -1


class Batch(NamedTuple):
    """Batch of windows: steps and the item after each, `(batch, length)`.

    `signals` are `(batch, length, SIGNAL_WIDTH)`; `values` and `weights` belong to the targets.
    Padding at the end has item 0 and target `PAD_TARGET`.
    """

    inputs: Tensor
    signals: Tensor
    targets: Tensor
    values: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device, in the same shapes."""
        return Batch(*(part.to(device) for part in self))


def cut_windows(sequences: Sequence[UserSequence], length: int) -> list[UserSequence]:
    """Cut sequences into windows of `length + 1` steps, from the end; none loses a transition."""
    windows = []
    for sequence in sequences:
        end = len(sequence)
        while end > 1:
            start = max(0, end - length - 1)
            windows.append(sequence.select(slice(start, end)))
            end = start + 1
    return windows


def batches(
    windows: Sequence[UserSequence],
    size: int,
    rng: np.random.Generator,
    at_most: int | None = None,
    augment: Augment | None = None,
) -> Iterator[Batch]:
    """Yield batches of windows, `(batch, length)` each, in random order.

    Args:
        windows: All windows.
        size: Number of windows in a batch.
        rng: Random numbers.
        at_most: Largest number of windows, drawn at random; all if not given.
        augment: Augmentation.
    """
    order = rng.permutation(len(windows))[:at_most]
    for start in range(0, len(order), size):
        chosen = [windows[i] for i in order[start : start + size]]
        if augment:
            chosen = [augmented(window, augment, rng) for window in chosen]
        length = max(map(len, chosen)) - 1
        inputs, signals = pad_sequences(
            [w.rows[:-1] for w in chosen], [w.signals[:-1] for w in chosen], length
        )
        targets = np.full(inputs.shape, PAD_TARGET)
        values, weights = np.zeros(inputs.shape, np.float32), np.zeros(inputs.shape, np.float32)
        for row, window in enumerate(chosen):
            steps = len(window) - 1
            targets[row, :steps] = window.rows[1:]
            values[row, :steps] = window.values[1:]
            weights[row, :steps] = window.weights[1:]
        yield Batch(*map(torch.from_numpy, (inputs, signals, targets, values, weights)))
