"""Retention flow: delete the rows of the event store that are older than params.yaml allows."""

from datetime import UTC, datetime

from prefect import flow, runtime, task

from flows.results import RetainOutcome, write_outcome
from flows.settings import read_retention
from recloop.config import Home
from recloop.settings import read_settings
from recloop.store.event_store import EventStore
from recloop.store.retention import ExpiredRows, Retention, expire


@flow(name="retain", log_prints=True)
def retain() -> RetainOutcome:
    """Apply the block `retention` of params.yaml and report how many rows were deleted."""
    home, rules = read_settings().home, read_retention()
    expired = delete_expired(home, rules)
    outcome = RetainOutcome(
        events=expired.events,
        served=expired.served,
        events_days=rules.events_days,
        served_days=rules.served_days,
        reasons=describe(expired, rules),
    )
    print("\n".join(outcome.reasons))  # noqa: T201 - Prefect logs it
    write_outcome(home, str(runtime.flow_run.id), outcome)
    return outcome


@task(name="delete expired rows", retries=2, retry_delay_seconds=60, timeout_seconds=3600)
def delete_expired(home: Home, rules: Retention) -> ExpiredRows:
    """Delete expired rows in small transactions, so that the service can write in between."""
    store = EventStore.of(home)
    try:
        return expire(store, rules, datetime.now(UTC))
    finally:
        store.close()


def describe(expired: ExpiredRows, rules: Retention) -> list[str]:
    """Return one sentence on each table: how many rows were deleted."""
    tables = (
        ("events", expired.events, rules.events_days),
        ("served lists", expired.served, rules.served_days),
    )
    return [
        f"{name}: kept for ever"
        if days is None
        else f"{name}: {count} older than {days} days deleted"
        for name, count, days in tables
    ]
