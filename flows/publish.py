"""What people see of a run: reports on disk, artifacts in the Prefect UI, the newest outcome as JSON."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from pydantic import BaseModel

from flows import workspace as ws
from flows.workspace import Workspace
from recloop.config import Home
from recloop.decisions import Decision, Interval, Rivalry
from recloop.evaluation.report import HEADLINE
from recloop.stages import files
from recloop.validation.verdict import Verdict


class Packaged(BaseModel):
    """A registered model version and what became of it."""

    version: str
    fresh: bool
    commit: str
    data_version: str
    bento: str


@task(name="keep reports", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def keep_reports(space: Workspace, reports: Path) -> None:
    """Copy what people read out of the workspace, which the next run removes."""
    ws.copy_tree(space.folder / files.REPORTS, reports)


def show_verdict(verdict: Verdict) -> None:
    """The gate's verdict: rules that do not hold, and where."""
    said = "\n".join(f"- {reason}" for reason in verdict.reasons())
    gate = "open" if verdict.passed else "shut"
    create_markdown_artifact(
        said or f"All {verdict.rules} rules hold.",
        key="validation",
        description=f"The gate is {gate}",
    )


@task(name="publish")
def show_result(
    metrics: dict[str, Any], rivalry: Rivalry | None, decision: Decision, packaged: Packaged
) -> None:
    """Artifacts for the Prefect UI: metrics of all models, and the decision."""
    rows = [
        {"model": name, **{metric: _cell(value) for metric, value in sorted(values.items())}}
        for name, values in metrics["models"].items()
    ]
    create_table_artifact(
        rows, key="metrics", description=f"Test split, {metrics['requests']} requests"
    )
    promoted, reasons = decision
    sides = (
        [
            {"model": f"challenger {packaged.version}", HEADLINE: str(rivalry.challenger)},
            {"model": f"champion {rivalry.rival}", HEADLINE: str(rivalry.champion)},
            {"model": "difference", HEADLINE: str(rivalry.difference)},
        ]
        if rivalry
        else [{"model": packaged.version, HEADLINE: "is the champion"}]
    )
    create_table_artifact(sides, key="champion-vs-challenger", description="Same later requests")
    verdict = f"**{packaged.version} {'promoted' if promoted else 'not promoted'}**\n\n"
    create_markdown_artifact(verdict + "\n".join(f"- {r}" for r in reasons), key="decision")


def link_report(report: Path, key: str, text: str) -> None:
    """A link in the Prefect UI to a report, on the report server where one is up."""
    base = os.environ.get("RECLOOP_REPORTS_URL")
    path = report.relative_to(Home.from_environment().reports)
    create_link_artifact(f"{base}/{path}" if base else report.as_uri(), link_text=text, key=key)


def report_outcome(home: Home, name: str, outcome: dict[str, Any]) -> dict[str, Any]:
    """Write a flow's newest outcome as JSON, for whoever waits for it; whole or not at all."""
    path = home.reports / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(outcome, indent=2, default=str), encoding="utf-8")
    partial.replace(path)
    return outcome


def stamp() -> str:
    """A folder name for this moment, sortable."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def _cell(value: float | dict[str, float]) -> str:
    return str(Interval(**value)) if isinstance(value, dict) else f"{value:.4f}"
