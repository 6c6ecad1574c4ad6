"""Publish the reports of a run on disk and its results as artifacts in Prefect's UI."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows import workspace as ws
from flows.results import MetricValue, ModelMetrics, PackagedModel, SliceMetrics
from flows.workspace import Workspace
from recloop.decisions import Decision, ModelComparison
from recloop.evaluation.report import PRIMARY_METRIC
from recloop.settings import Settings
from recloop.stages import files
from recloop.validation.result import ValidationResult


@task(name="copy reports", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def copy_reports(space: Workspace, reports: Path) -> None:
    """Copy the reports out of the workspace, which the next run removes."""
    ws.copy_tree(space.folder / files.REPORTS, reports)


def publish_validation(validation: ValidationResult) -> None:
    """Publish the result of validation as an artifact: each rule that fails, and its rows."""
    failures = "\n".join(f"- {reason}" for reason in validation.reasons())
    create_markdown_artifact(
        failures or f"All {validation.rules} rules hold.",
        key="validation",
        description=f"Validation {'passed' if validation.passed else 'failed'}",
    )


@task(name="publish results")
def publish_comparison(
    metrics: ModelMetrics,
    comparison: ModelComparison | None,
    decision: Decision,
    packaged: PackagedModel,
) -> None:
    """Publish the metrics of all models, the comparison with the champion and the decision."""
    rows = [{"model": name, **_cells(values)} for name, values in metrics.models.items()]
    create_table_artifact(
        rows, key="metrics", description=f"Metrics on the test split, {metrics.requests} requests"
    )
    sides = (
        [
            {"model": f"challenger {packaged.version}", PRIMARY_METRIC: str(comparison.challenger)},
            {
                "model": f"champion {comparison.champion_version}",
                PRIMARY_METRIC: str(comparison.champion),
            },
            {"model": "difference", PRIMARY_METRIC: str(comparison.difference)},
        ]
        if comparison
        else [{"model": packaged.version, PRIMARY_METRIC: "is the champion already"}]
    )
    create_table_artifact(
        sides,
        key="champion-vs-challenger",
        description="NDCG@10 on requests later than the champion's training data",
    )
    promoted, reasons = decision
    heading = f"**{packaged.version} {'promoted' if promoted else 'not promoted'}**\n\n"
    create_markdown_artifact(
        heading + "\n".join(f"- {reason}" for reason in reasons),
        key="decision",
        description="Whether the new model was promoted, and why",
    )


def link_report(settings: Settings, report: Path, key: str, text: str) -> None:
    """Publish a link to a report as an artifact: on the report server, otherwise to the file."""
    base, path = settings.reports_url, report.relative_to(settings.home.reports)
    link = f"{base}/{path}" if base else report.as_uri()
    create_link_artifact(link, link_text=text, key=key, description=text)


def timestamp() -> str:
    """Return a folder name for the current time; names sort by time."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def _cells(values: Mapping[str, MetricValue | SliceMetrics]) -> dict[str, str]:
    """Return each metric as text, sorted by name, without the slices."""
    return {
        metric: f"{value:.4f}" if isinstance(value, float) else str(value)
        for metric, value in sorted(values.items())
        if not isinstance(value, dict)
    }
