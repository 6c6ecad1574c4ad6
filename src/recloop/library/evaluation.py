"""Benchmark of models on a data set, for use in a program."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from recloop.benchmark import run
from recloop.benchmark.config import BenchmarkConfig
from recloop.benchmark.dataset import read_folder


def evaluate(
    folder: str | Path,
    *,
    models: Sequence[str] | None = None,
    protocol: Literal["next-item", "temporal", "ctr"] = "next-item",
    seconds: float = 900.0,
    seed: int = 42,
) -> dict[str, Any]:
    """Train, tune and measure models on a data set, as `recloop evaluate` does.

    Args:
        folder: Folder with `interactions.parquet` and `items.parquet` (docs/measured.md).
        models: Names of models; None means all of the protocol.
        protocol: How test requests are formed.
        seconds: Time limit of the training of a sequence model.
        seed: Seed of everything that is random.

    Returns:
        Metrics with intervals, slices, seconds and memory for each model.

    Raises:
        FolderError: A file or a column is missing or cannot be used.
        ValueError: A model is unknown.
    """
    names = run.parse_models(",".join(models) if models else None, protocol)
    config = BenchmarkConfig(models=names, protocol=protocol, seconds=seconds, seed=seed)
    return run.evaluate(read_folder(Path(folder)), config, lambda _line: None)
