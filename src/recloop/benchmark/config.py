"""Settings of `recloop evaluate`."""

import resource
import sys
from collections.abc import Callable
from typing import Literal

from recloop.config import ConfigModel
from recloop.training.base_models import Tuning

Protocol = Literal["next-item", "temporal", "ctr"]
StatusCallback = Callable[[str], None]


class BenchmarkConfig(ConfigModel):
    """Settings of one benchmark.

    Attributes:
        models: Names of the models to train and measure.
        protocol: Protocol of the evaluation.
        repeats: Whether seen items may be recommended; None derives it from the data.
        tuning: How the language model is tuned, on the sequence model's loss; None derives it from
            the data.
        seconds: Bound on the training time of one model, with all its channels and the language
            model. Only the smallest training that is possible may take longer.
        seed: Seed of training, sampling and bootstrap.
        test_scores: Limit of test requests times items; with more requests a random sample is used.
        ablate: Whether recloop is also measured without its parts (see `ablation`).
    """

    models: tuple[str, ...]
    protocol: Protocol = "next-item"
    repeats: bool | None = None
    tuning: Tuning | None = None
    seconds: float = 900.0
    seed: int = 42
    test_scores: float = 1e10
    ablate: bool = False


def peak_memory() -> int:
    """Return the peak memory of this process so far in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
