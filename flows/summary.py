"""What a run says at its end: one screen, and the same as JSON."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from recloop.evaluation.report import HEADLINE


def outcome(
    first: dict[str, Any],
    monitored: dict[str, Any],
    second: dict[str, Any] | None,
    replayed: dict[str, int],
    served: tuple[str, str],
    seconds: dict[str, float],
    total: float,
) -> dict[str, Any]:
    """Everything that a run found, as plain JSON."""
    newest = second or first
    return {
        "status": "completed",
        "data_version": newest["snapshot"]["data_version"],
        "snapshot": newest["snapshot"],
        "validation": newest["validation"],
        "metrics": newest["metrics"],
        "models": {"first": first["model"], "second": second["model"] if second else None},
        "continues": {
            "first": first["continues"],
            "second": second["continues"] if second else None,
        },
        "bento": newest["model"]["bento"],
        "served": {"before": served[0], "after": served[1]},
        "replay": replayed,
        "drift": monitored.get("drift", {}),
        "clicks": monitored.get("clicks", {}),
        "retrain": {"wanted": monitored["retrain"], "reasons": monitored["reasons"]},
        "decision": {
            "promoted": newest["promoted"],
            "reasons": newest["reasons"],
            "rivalry": newest["rivalry"],
        },
        "first_decision": {"promoted": first["promoted"], "reasons": first["reasons"]},
        "seconds": {**seconds, "total": round(total, 1)},
    }


def screen(found: dict[str, Any]) -> Group:
    """One screen for people."""
    table = Table("model", HEADLINE, "95 % interval", "recall@10", "mrr@10", title="Test split")
    for name, values in found["metrics"]["models"].items():
        best = values[HEADLINE]
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
        f" {replayed['errors']} errors, {replayed['skipped']} done before",
        f"drift       {columns or 'not measured: too little is new'}",
        f"retrain     {'wanted' if found['retrain']['wanted'] else 'not wanted'}: "
        + "; ".join(found["retrain"]["reasons"]),
        f"decision    {'promoted' if decision['promoted'] else 'kept'}: "
        + "; ".join(decision["reasons"]),
        f"serving     {found['served']['before']} → {found['served']['after']}, {found['bento']}",
        f"time        {found['seconds']['total']:.0f} s",
    ]
    return Group(table, Text("\n".join(lines)))
