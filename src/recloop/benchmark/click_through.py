"""Click-through protocol: predicted click probabilities of the test rows, measured by model."""

import math
import time
from typing import Any

import polars as pl

from recloop import columns as c
from recloop.benchmark.config import BenchmarkConfig, StatusCallback, peak_memory
from recloop.benchmark.dataset import LABEL, SPLIT, TEST, TRAIN, VALID, DataSet, FolderError
from recloop.ctr import CtrConfig, Problem, ctr_models
from recloop.ctr.metrics import report
from recloop.data.interaction_log import PART

CTR_MODELS = tuple(ctr_models())


def click_through(
    data: DataSet, config: BenchmarkConfig, show_status: StatusCallback
) -> dict[str, Any]:
    """Train the models on the labels and measure their predictions on the test rows.

    Returns:
        `{model: {auc, uauc, log_loss, accuracy, train_seconds, …}}`; undefined metrics are null.

    Raises:
        FolderError: A label is missing, or all labels are equal.
    """
    problem = _problem(data)
    trainers = ctr_models(CtrConfig(seed=config.seed))
    models = {}
    for name in config.models:
        show_status(f"training {name}")
        started = time.monotonic()
        probabilities = trainers[name](problem)
        metrics = report(problem.test.users, problem.test.labels, probabilities, seed=config.seed)
        models[name] = {
            **{metric: _null_if_undefined(values) for metric, values in metrics.items()},
            "train_seconds": round(time.monotonic() - started, 1),
            "peak_memory_mb": peak_memory(),
        }
    return models


def _problem(data: DataSet) -> Problem:
    if data.interactions[LABEL].null_count():
        raise FolderError(
            "protocol ctr needs a label, 0 or 1, in every row of interactions.parquet"
        )
    has_times = data.interactions[c.TIME].null_count() == 0
    row_number = pl.int_range(pl.len()) if data.ordered else pl.lit(None, pl.Int64)
    names = {0: TRAIN, 1: VALID, 2: TEST}
    rows = data.interactions.with_columns(
        pl.col(PART).replace_strict(names, return_dtype=pl.String).alias(SPLIT),
        (pl.col(c.TIME) if has_times else row_number).alias("order"),
    )
    try:
        return Problem.from_frame(rows, data.texts())
    except ValueError as error:
        raise FolderError(str(error)) from error


def _null_if_undefined(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
