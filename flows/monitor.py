"""The monitor flow: reports, numbers, decisions; asks for a retrain or a roll-back where they say so."""

import time
from dataclasses import asdict
from typing import Any

from prefect import flow

from flows import publish, watch
from flows.settings import decide_config
from recloop.config import Home
from recloop.decisions import should_retrain


@flow(name="monitor", log_prints=True)
def monitor() -> dict[str, Any]:
    """Compare what happens with what the newest model was trained on."""
    home, config, started = Home.from_environment(), decide_config(), time.monotonic()
    reports = home.reports / f"monitor-{publish.stamp()}"
    watched = watch.gather(home)
    if watched is None:
        return publish.report_outcome(
            home, "monitor", {"retrain": False, "reasons": ["no model yet"]}
        )
    condition = watch.measure(watched, reports, config)
    clicks = watch.count_clicks(watched)
    retrain, reasons = should_retrain(condition, config.retrain)
    event = watch.ask_for_retrain(watched.version, reasons, condition) if retrain else None
    rolled_back = watch.roll_back_if_worse(home, clicks, config.rollback)
    outcome = {
        "version": watched.version,
        "drift": asdict(condition),
        "clicks": {version: {**asdict(c), "rate": c.rate} for version, c in clicks.items()},
        "retrain": retrain,
        "reasons": reasons,
        "event": event,
        "roll_back": rolled_back,
        "reports": str(reports),
        "seconds": round(time.monotonic() - started, 1),
    }
    watch.show_result(outcome)
    if condition.column_psi:
        publish.link_report(reports / "interactions.html", "drift-report", "Evidently report")
    return publish.report_outcome(home, "monitor", outcome)
