"""The retrain flow: from a fresh snapshot to a promoted or a kept model."""

import time
from dataclasses import asdict
from typing import Any

from prefect import flow

from flows import publish, tasks
from flows.settings import decide_config
from recloop.config import Home


@flow(name="retrain", log_prints=True)
def retrain(reason: str = "asked for", wanted_by: dict[str, Any] | None = None) -> dict[str, Any]:
    """Train a challenger on everything known now, and let the better model serve.

    `wanted_by` is the payload of the event that asked for it, kept in the outcome.
    """
    home, started = Home.from_environment(), time.monotonic()
    rules = decide_config()
    reports = home.reports / f"retrain-{publish.stamp()}"
    with tasks.one_at_a_time(home):
        space = tasks.prepare(home, home.logs / "pipeline.log")
        snapshot = tasks.take_snapshot(space)
        verdict = tasks.pass_gate(space, reports)
        tasks.lay_out_start(home, space, snapshot, rules.warm_start)
        metrics, training = tasks.reproduce(space)
        packaged = tasks.package(home, space, training, verdict, metrics, reason)
        rivalry = tasks.compare(home, space, packaged, metrics)
        promoted, reasons = decision = tasks.decide(rivalry, packaged, rules.promotion)
        if promoted:
            tasks.promote(home, packaged, reasons)
            tasks.adopt(home, space)
        publish.keep_reports(space, reports)
        publish.link_report(reports / "data-docs" / "index.html", "data-docs", "Data Docs")
        publish.show_result(metrics, rivalry, decision, packaged)
    outcome = {
        "reason": reason,
        "wanted_by": wanted_by,
        "snapshot": snapshot,
        "validation": verdict,
        "continues": training["continues"],
        "training": training,
        "metrics": metrics,
        "model": packaged.model_dump(),
        "rivalry": asdict(rivalry) if rivalry else None,
        "promoted": promoted,
        "reasons": reasons,
        "reports": str(reports),
        "seconds": round(time.monotonic() - started, 1),
    }
    return publish.report_outcome(home, "retrain", outcome)
