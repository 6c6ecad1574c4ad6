"""Settings of `recloop evaluate`."""

import resource
import sys
from collections.abc import Callable
from typing import Literal

from recloop.config import ConfigModel
from recloop.training.base_models import Tuning

Protocol = Literal["next-item", "temporal", "ctr"]
Say = Callable[[str], None]


class BenchmarkConfig(ConfigModel):
    """What is run, and within which bounds.

    - `repeats`: whether seen items may be recommended; None lets the data decide.
    - `tuning`: of the language model, on the sequence model's loss; None lets the data decide.
    - `seconds` bounds the training of one sequence model on about two cores; tuning the language model
      comes on top.
    - `test_scores`: requests times items, at most about; beyond, a random part is asked.
    """

    models: tuple[str, ...]
    protocol: Protocol = "next-item"
    repeats: bool | None = None
    tuning: Tuning | None = None
    seconds: float = 900.0
    seed: int = 42
    test_scores: float = 1e10


def peak_memory() -> int:
    """Return the peak memory of this process so far in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
