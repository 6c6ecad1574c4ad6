"""The retention flow: rows of the event store that are older than they may be are deleted."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, task

from flows import publish
from flows.settings import retention
from recloop.config import Home
from recloop.store.events import EventStore
from recloop.store.retention import Expired, Retention, expire


@flow(name="retain", log_prints=True)
def retain() -> dict[str, Any]:
    """Apply `retention` of params.yaml, and say how many rows that removed."""
    home, rules = Home.from_environment(), retention()
    expired = delete_expired(home, rules)
    reasons = say(expired, rules)
    print("\n".join(reasons))  # noqa: T201 - Prefect logs it
    outcome = {**vars(expired), **rules.model_dump(), "reasons": reasons}
    return publish.report_outcome(home, "retain", outcome)


@task(name="delete what is too old", retries=2, retry_delay_seconds=60, timeout_seconds=3600)
def delete_expired(home: Home, rules: Retention) -> Expired:
    """In small transactions, so that the service goes on writing."""
    store = EventStore.of(home)
    try:
        return expire(store, rules, datetime.now(UTC))
    finally:
        store.close()


def say(expired: Expired, rules: Retention) -> list[str]:
    """A sentence for each table."""
    return [
        f"{name}: kept for ever"
        if days is None
        else f"{name}: {count} older than {days} days deleted"
        for name, count, days in (
            ("events", expired.events, rules.events_days),
            ("served lists", expired.served, rules.served_days),
        )
    ]
