"""Summary of a run of the loop, as JSON and as one screen of text."""

from typing import Any

from pydantic_core import to_jsonable_python
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flows.replay import ReplayCounts
from flows.results import MonitorOutcome, RetrainOutcome
from recloop.evaluation.report import PRIMARY_METRIC


def summarise(
    first: RetrainOutcome,
    monitored: MonitorOutcome,
    second: RetrainOutcome | None,
    replayed: ReplayCounts,
    served: tuple[str, str],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Return the results of a run of the loop as plain JSON.

    Args:
        first: Outcome of the first retrain.
        monitored: Outcome of the monitor after the replay.
        second: Outcome of the retrain that the monitor requested, None without one.
        replayed: Counts of the replay.
        served: Model versions that served before the monitor and at the end.
        seconds: Seconds of each step.
    """
    newest = second or first
    document = {
        "status": "completed",
        "data_version": newest.snapshot.data_version,
        "snapshot": newest.snapshot,
        "validation": newest.validation,
        "metrics": newest.metrics,
        "models": {"first": first.model, "second": second.model if second else None},
        "continues": {
            "first": first.training.continues,
            "second": second.training.continues if second else None,
        },
        "bento": newest.model.bento,
        "served": {"before": served[0], "after": served[1]},
        "replay": replayed,
        "drift": monitored.drift or {},
        "clicks": monitored.clicks,
        "retrain": {"requested": monitored.retrain, "reasons": monitored.reasons},
        "decision": {
            "promoted": newest.promoted,
            "reasons": newest.reasons,
            "comparison": newest.comparison,
        },
        "first_decision": {"promoted": first.promoted, "reasons": first.reasons},
        "seconds": seconds,
    }
    plain: dict[str, Any] = to_jsonable_python(document)
    return plain


def render(found: dict[str, Any]) -> Group:
    """Return one screen with the results of `summarise`."""
    table = Table(
        "model", PRIMARY_METRIC, "95 % interval", "recall@10", "mrr@10", title="Test split"
    )
    for name, values in found["metrics"]["models"].items():
        best = values[PRIMARY_METRIC]
        table.add_row(
            name,
            f"{best['value']:.4f}",
            f"{best['low']:.4f} – {best['high']:.4f}",
            f"{values['recall@10']['value']:.4f}",
            f"{values['mrr@10']['value']:.4f}",
        )
    replayed, drift, decision = found["replay"], found["drift"], found["decision"]
    columns = ", ".join(f"{k} {v:.2f}" for k, v in drift.get("column_psi", {}).items())
    lines = [
        f"data        {found['data_version']}  ({found['snapshot']['interactions']} interactions,"
        f" {found['snapshot']['quarantined']} quarantined)",
        f"validation  {'passed' if found['validation']['passed'] else 'failed'},"
        f" {found['validation']['rules']} rules",
        f"replay      {replayed['requests']} requests, {replayed['events']} events,"
        f" {replayed['errors']} errors, {replayed['skipped']} skipped (stored before)",
        f"drift       {columns or 'not measured: too few new interactions'}",
        f"retrain     {'requested' if found['retrain']['requested'] else 'not requested'}: "
        + "; ".join(found["retrain"]["reasons"]),
        f"decision    {'promoted' if decision['promoted'] else 'kept'}: "
        + "; ".join(decision["reasons"]),
        f"serving     {found['served']['before']} → {found['served']['after']}, {found['bento']}",
        f"time        {found['seconds']['total']:.0f} s",
    ]
    return Group(table, Text("\n".join(lines)))
