"""Retrain flow: take a snapshot, train a challenger on it, and promote or reject the challenger."""

import time
from typing import Any

from prefect import flow, runtime

from flows import publish
from flows import retrain_tasks as tasks
from flows.results import RetrainOutcome, write_outcome
from flows.settings import read_decision_config
from recloop.settings import read_settings


@flow(name="retrain", log_prints=True)
def retrain(reason: str = "by hand", requested_by: dict[str, Any] | None = None) -> RetrainOutcome:
    """Train a challenger on all data up to now, and promote it if it is good enough.

    `requested_by` is the payload of the event that requested the retrain; the outcome keeps it.
    """
    settings, rules, started = read_settings(), read_decision_config(), time.monotonic()
    home = settings.home
    reports = home.reports / f"retrain-{publish.timestamp()}"
    with tasks.retrain_lock(home):
        space = tasks.prepare_workspace(home, home.logs / "pipeline.log")
        snapshot = tasks.take_snapshot(space)
        validation = tasks.validate_snapshot(space, reports)
        tasks.prepare_warm_start(home, space, snapshot, rules.warm_start)
        metrics, training = tasks.run_pipeline(space)
        packaged = tasks.package_model(home, space, training, validation, metrics, reason)
        comparison = tasks.compare_with_champion(home, space, packaged, metrics)
        promoted, reasons = decision = tasks.decide(comparison, packaged, rules.promotion)
        if promoted:
            tasks.promote_model(home, packaged, reasons)
            tasks.publish_lock(home, space)
        publish.copy_reports(space, reports)
        docs = reports / "data-docs" / "index.html"
        publish.link_report(settings, docs, "data-docs", "Great Expectations report")
        publish.publish_comparison(metrics, comparison, decision, packaged)
    outcome = RetrainOutcome(
        reason=reason,
        requested_by=requested_by,
        snapshot=snapshot,
        validation=validation,
        training=training,
        metrics=metrics,
        model=packaged,
        comparison=comparison,
        promoted=promoted,
        reasons=reasons,
        reports=reports,
        seconds=round(time.monotonic() - started, 1),
    )
    write_outcome(home, str(runtime.flow_run.id), outcome)
    return outcome
