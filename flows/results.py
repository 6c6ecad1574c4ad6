"""Typed results of the flows and of their tasks.

The outcome of a flow run is a JSON file of its own, named by the id of the run.
"""

from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from recloop.config import Home
from recloop.decisions import DriftSummary, Interval, ModelComparison
from recloop.validation.result import ValidationResult

MetricValue = float | Interval
SliceMetrics = dict[str, dict[str, float]]  # requests and NDCG@10 of each part of the requests


class SnapshotFacts(BaseModel, extra="allow"):
    """Size of the snapshot that the stage `snapshot` took, and DVC's hash of it."""

    data_version: str
    interactions: int
    feedback: int
    quarantined: int


class TrainingReport(BaseModel, extra="allow"):
    """Report on the training of a model.

    `continues`: version whose training it continued, None if it was trained from scratch.
    """

    continues: str | None


class ModelMetrics(BaseModel, extra="allow"):
    """Metrics of the model and of the baselines on the test requests.

    `models`: value of each metric by model, and under `slices` the metrics of request groups.
    `ahead_of`: difference in NDCG@10 to each baseline.
    """

    requests: int
    models: dict[str, dict[str, MetricValue | SliceMetrics]]
    ahead_of: dict[str, Interval]


class PackagedModel(BaseModel):
    """A registered model version and its Bento. `fresh`: it was registered by this run."""

    version: str
    fresh: bool
    commit: str
    data_version: str
    bento: str


class RollbackResult(BaseModel):
    """Result of the rollback check: whether the previous version serves again, and why."""

    rolled_back: bool
    reasons: list[str]


class Outcome(BaseModel):
    """Outcome of any flow run: `reasons` are sentences that explain its decision."""

    reasons: list[str]


class RetrainOutcome(Outcome):
    """Outcome of a retrain. `comparison` is None if the packaged model is the champion already."""

    reason: str
    requested_by: dict[str, Any] | None
    snapshot: SnapshotFacts
    validation: ValidationResult
    training: TrainingReport
    metrics: ModelMetrics
    model: PackagedModel
    comparison: ModelComparison | None
    promoted: bool
    reports: Path
    seconds: float


class MonitorOutcome(Outcome):
    """Outcome of a monitor run; without a model, only `retrain` (false) and the reason are set.

    `event`: id of the event that requests a retrain. `clicks`: number of lists, number of clicked
    lists and their ratio for each model version.
    """

    retrain: bool
    version: str | None = None
    drift: DriftSummary | None = None
    clicks: dict[str, dict[str, str | int | float]] = {}
    event: UUID | None = None
    rollback: RollbackResult | None = None
    reports: Path | None = None
    seconds: float = 0.0


class RetainOutcome(Outcome):
    """Outcome of a retention run: rows deleted, and the days after which rows are deleted."""

    events: int
    served: int
    events_days: int | None
    served_days: int | None


Result = TypeVar("Result", bound=BaseModel)


def write_outcome(home: Home, run_id: str, outcome: Outcome) -> None:
    """Write the outcome of a flow run as JSON; readers see the whole file or none."""
    path = _outcome_path(home, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(outcome.model_dump_json(indent=2), encoding="utf-8")
    partial.replace(path)


def read_outcome(home: Home, run_id: UUID, kind: type[Result]) -> Result:
    """Read the outcome of a flow run.

    Raises:
        FileNotFoundError: The run wrote none.
    """
    text = _outcome_path(home, str(run_id)).read_text(encoding="utf-8")
    return kind.model_validate_json(text)


def _outcome_path(home: Home, run_id: str) -> Path:
    return home.reports / "runs" / f"{run_id}.json"
