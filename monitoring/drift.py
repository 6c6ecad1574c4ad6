"""Evidently's drift reports: HTML for people, plain numbers for the decision."""

from pathlib import Path

import numpy as np
import polars as pl
from evidently import DataDefinition, Dataset, Report
from evidently.core.report import Snapshot
from evidently.legacy.metrics.data_drift.embedding_drift_methods import model
from evidently.metrics import MeanValue, RowCount, ValueDrift
from numpy.typing import NDArray

from monitoring.frames import CATEGORICAL, NUMERICAL

# The same method whatever the sample's size, so that numbers compare from run to run.
_METHOD = "psi"
_EMBEDDINGS = 2_000


def interaction_drift(
    current: pl.DataFrame, reference: pl.DataFrame, threshold: float, html: Path
) -> dict[str, float]:
    """Population stability index per column of `frames.describe`; the report goes to `html`."""
    columns = (*CATEGORICAL, *NUMERICAL)
    definition = DataDefinition(
        numerical_columns=list(NUMERICAL), categorical_columns=list(CATEGORICAL)
    )
    report = Report(
        [
            RowCount(),
            *(ValueDrift(column=name, method=_METHOD, threshold=threshold) for name in columns),
            *(MeanValue(column=name) for name in NUMERICAL),
        ],
        include_tests=True,
    )
    return _drifts(_run(report, current, reference, definition, html))


def score_drift(
    current: pl.DataFrame, reference: pl.DataFrame, threshold: float, html: Path
) -> float:
    """Population stability index of the served lists' mean scores; the report goes to `html`."""
    report = Report(
        [
            RowCount(),
            ValueDrift(column="score", method=_METHOD, threshold=threshold),
            MeanValue(column="score"),
        ],
        include_tests=True,
    )
    definition = DataDefinition(numerical_columns=["score"])
    return _drifts(_run(report, current, reference, definition, html))["score"]


def embedding_drift(
    current: NDArray[np.float32], reference: NDArray[np.float32], seed: int
) -> float:
    """AUC of telling current from reference item texts apart; 0.5 is no drift.

    `(rows, width)` each, a row an interaction; a sample of each is used.
    """
    rng = np.random.default_rng(seed)
    frames = [
        pl.DataFrame(vectors[rng.permutation(len(vectors))[:_EMBEDDINGS]]).to_pandas()
        for vectors in (current, reference)
    ]
    auc, _, _ = model(bootstrap=False)(*frames)
    return float(auc)


def _run(
    report: Report,
    current: pl.DataFrame,
    reference: pl.DataFrame,
    definition: DataDefinition,
    html: Path,
) -> Snapshot:
    snapshot = report.run(
        Dataset.from_pandas(current.to_pandas(), data_definition=definition),
        Dataset.from_pandas(reference.to_pandas(), data_definition=definition),
    )
    html.parent.mkdir(parents=True, exist_ok=True)
    snapshot.save_html(str(html))
    return snapshot


def _drifts(snapshot: Snapshot) -> dict[str, float]:
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }
