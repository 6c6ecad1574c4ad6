"""Training windows: stretches of users' sequences, padded into batches."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from recloop.data.catalogue import Rows
from recloop.training.augment import Augment, augmented

PAD_TARGET = -1


def cut_windows(sequences: Sequence[Rows], length: int) -> list[Rows]:
    """Consecutive stretches of `length + 1` items, from the end; every transition is in one."""
    windows = []
    for sequence in sequences:
        end = len(sequence)
        while end > 1:
            start = max(0, end - length - 1)
            windows.append(sequence[start:end])
            end = start + 1
    return windows


def batches(
    windows: Sequence[Rows],
    size: int,
    rng: np.random.Generator,
    at_most: int | None = None,
    augment: Augment | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled `(inputs, targets)`, `(batch, length)` each; padded inputs are 0, targets -1.

    `at_most`: so many windows, drawn at random.
    """
    order = rng.permutation(len(windows))[:at_most]
    for start in range(0, len(order), size):
        chosen = [windows[i] for i in order[start : start + size]]
        if augment:
            chosen = [augmented(window, augment, rng) for window in chosen]
        length = max(len(window) for window in chosen) - 1
        inputs = np.zeros((len(chosen), length), np.int64)
        targets = np.full((len(chosen), length), PAD_TARGET, np.int64)
        for row, window in enumerate(chosen):
            inputs[row, : len(window) - 1] = window[:-1]
            targets[row, : len(window) - 1] = window[1:]
        yield torch.from_numpy(inputs), torch.from_numpy(targets)
