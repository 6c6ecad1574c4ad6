"""Monitor flow: measure drift and click-through; request a retrain or roll back by rules."""

import time
from dataclasses import asdict

from prefect import flow, runtime

from flows import monitor_tasks as tasks
from flows import publish
from flows.results import MonitorOutcome, write_outcome
from flows.settings import read_decision_config
from recloop.decisions import should_retrain
from recloop.settings import read_settings


@flow(name="monitor", log_prints=True)
def monitor() -> MonitorOutcome:
    """Compare new interactions with those that the newest model was trained on."""
    settings, rules, started = read_settings(), read_decision_config(), time.monotonic()
    home = settings.home
    reports = home.reports / f"monitor-{publish.timestamp()}"
    problem = tasks.champion_problem(home)
    monitored = tasks.load_input(home)
    if monitored is None:
        outcome = MonitorOutcome(
            retrain=problem is not None,
            reasons=[problem or "there is no model that this version of recloop can load"],
            event=tasks.request_retrain("none", [problem], 0) if problem else None,
        )
    else:
        drift = tasks.measure_drift(monitored, reports, rules)
        clicks = tasks.count_clicks(monitored)
        retrain, reasons = should_retrain(drift, rules.retrain)
        if problem:
            retrain, reasons = True, [problem, *reasons]
        new = drift.new_interactions
        outcome = MonitorOutcome(
            version=monitored.version,
            drift=drift,
            clicks={version: {**asdict(c), "rate": c.rate} for version, c in clicks.items()},
            retrain=retrain,
            reasons=reasons,
            event=tasks.request_retrain(monitored.version, reasons, new) if retrain else None,
            rollback=tasks.roll_back_if_worse(home, clicks, rules.rollback),
            reports=reports,
            seconds=round(time.monotonic() - started, 1),
        )
        tasks.publish_drift(outcome)
        if drift.column_psi:
            report = reports / "interactions.html"
            publish.link_report(settings, report, "drift-report", "Evidently report")
    write_outcome(home, str(runtime.flow_run.id), outcome)
    return outcome
