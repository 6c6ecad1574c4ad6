"""Drift reports of Evidently: an HTML page to read, and numbers for the decision."""

from pathlib import Path

import numpy as np
import polars as pl
from evidently import DataDefinition, Dataset, Report, Run
from evidently.metrics import MeanValue, RowCount, ValueDrift
from evidently.metrics.embeddings import ModelDriftMethod
from numpy.typing import NDArray

from monitoring.frames import CATEGORICAL_COLUMNS, NUMERICAL_COLUMNS

# One method for every sample size, so that the numbers of different runs can be compared.
_METHOD = "psi"
_EMBEDDINGS = 2_000


def interaction_drift(
    current: pl.DataFrame, reference: pl.DataFrame, threshold: float, html: Path
) -> dict[str, float]:
    """Return the population stability index of each column of `frames.interaction_features`.

    The report is written to `html`.
    """
    columns = (*CATEGORICAL_COLUMNS, *NUMERICAL_COLUMNS)
    definition = DataDefinition(
        numerical_columns=list(NUMERICAL_COLUMNS), categorical_columns=list(CATEGORICAL_COLUMNS)
    )
    report = Report(
        [
            RowCount(),
            *(ValueDrift(column=name, method=_METHOD, threshold=threshold) for name in columns),
            *(MeanValue(column=name) for name in NUMERICAL_COLUMNS),
        ],
        include_tests=True,
    )
    return _drifts(_run(report, current, reference, definition, html))


def score_drift(
    current: pl.DataFrame, reference: pl.DataFrame, threshold: float, html: Path
) -> float:
    """Return the population stability index of the column `score`; write the report to `html`."""
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
    """Return the AUC of a classifier of current against reference vectors; 0.5 means no drift.

    Args:
        current: Text vectors of the items of new interactions, shape `(interactions, width)`.
        reference: The same for interactions that the model was trained on.
        seed: Seed of the samples of at most 2,000 interactions each to which both are reduced.
    """
    rng = np.random.default_rng(seed)
    frames = [
        pl.DataFrame(vectors[rng.permutation(len(vectors))[:_EMBEDDINGS]]).to_pandas()
        for vectors in (current, reference)
    ]
    # Evidently's metric `EmbeddingsDrift` calls the same method, but then also computes a t-SNE of
    # the vectors for its picture, which takes longer than everything else in the monitor flow.
    auc, _, _ = ModelDriftMethod(bootstrap=False)(*frames)
    return float(auc)


def _run(
    report: Report,
    current: pl.DataFrame,
    reference: pl.DataFrame,
    definition: DataDefinition,
    html: Path,
) -> Run:
    measured = report.run(
        Dataset.from_pandas(current.to_pandas(), data_definition=definition),
        Dataset.from_pandas(reference.to_pandas(), data_definition=definition),
    )
    html.parent.mkdir(parents=True, exist_ok=True)
    measured.save_html(str(html))
    return measured


def _drifts(measured: Run) -> dict[str, float]:
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in measured.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    }
