"""Training windows: stretches of users' sequences, padded into batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recloop.data.trail import Trail, padded
from recloop.training.augment import Augment, augmented

PAD_TARGET = -1


class Batch(NamedTuple):
    """Steps and what follows each, `(batch, length)`; `signals` `(batch, length, WIDTH)`.

    `values` and `weights` are of the targets. Padding at the end: item 0, target `PAD_TARGET`.
    """

    inputs: Tensor
    signals: Tensor
    targets: Tensor
    values: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(*(part.to(device) for part in self))


def cut_windows(trails: Sequence[Trail], length: int) -> list[Trail]:
    """Consecutive stretches of `length + 1` steps, from the end; every transition is in one."""
    windows = []
    for trail in trails:
        end = len(trail)
        while end > 1:
            start = max(0, end - length - 1)
            windows.append(trail.part(slice(start, end)))
            end = start + 1
    return windows


def batches(
    windows: Sequence[Trail],
    size: int,
    rng: np.random.Generator,
    at_most: int | None = None,
    augment: Augment | None = None,
) -> Iterator[Batch]:
    """In random order. `at_most`: so many windows, drawn at random."""
    order = rng.permutation(len(windows))[:at_most]
    for start in range(0, len(order), size):
        chosen = [windows[i] for i in order[start : start + size]]
        if augment:
            chosen = [augmented(window, augment, rng) for window in chosen]
        length = max(map(len, chosen)) - 1
        inputs, told = padded(
            [w.rows[:-1] for w in chosen], [w.signals[:-1] for w in chosen], length
        )
        targets = np.full(inputs.shape, PAD_TARGET)
        values, weights = np.zeros(inputs.shape, np.float32), np.zeros(inputs.shape, np.float32)
        for row, window in enumerate(chosen):
            steps = len(window) - 1
            targets[row, :steps] = window.rows[1:]
            values[row, :steps] = window.values[1:]
            weights[row, :steps] = window.weights[1:]
        yield Batch(*map(torch.from_numpy, (inputs, told, targets, values, weights)))
