"""Windows changed at random, so that a model learns what matters of them rather than them."""

import numpy as np

from recloop.config import Settings
from recloop.data.trail import Trail

# Windows that are shorter stay as they are.
_SHORT = 4


class Augment(Settings):
    """Probabilities; 0 leaves a way out. What each did is in benchmarks/results/overfitting.json.

    `crop`: that a window is cut to a stretch of at least half of it. `reorder`: that a stretch of a
    quarter is shuffled. `mask`: that an item which is read is hidden (Xie et al. 2022, CL4SRec).
    """

    crop: float = 0.0
    reorder: float = 0.0
    mask: float = 0.0


def augmented(window: Trail, config: Augment, rng: np.random.Generator) -> Trail:
    """The window, or a changed copy. Masking is left to those who have the items' vectors."""
    if config.crop and len(window) >= _SHORT and rng.random() < config.crop:
        size = int(rng.integers(max(2, len(window) // 2), len(window) + 1))
        start = int(rng.integers(len(window) - size + 1))
        window = window.part(slice(start, start + size))
    if config.reorder and len(window) >= _SHORT and rng.random() < config.reorder:
        size = max(2, len(window) // 4)
        start = int(rng.integers(len(window) - size + 1))
        order = np.arange(len(window))
        rng.shuffle(order[start : start + size])
        window = window.reordered(order)
    return window
