"""Deletion of rows of the event store that are older than the retention settings allow."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from recloop.config import ConfigModel
from recloop.store import tables
from recloop.store.database import vacuum
from recloop.store.event_store import EventStore

# Rows deleted in one transaction, so that writers do not wait long.
_BATCH = 5_000


# At most a hundred years, so that the oldest day is a date.
Days = Annotated[int, Field(gt=0, le=36_500)]


class Retention(ConfigModel):
    """Days after which rows of the event store are deleted."""

    events_days: Days | None = None
    """Days since the arrival of an event; null: events are kept. A deleted event is in no later
    snapshot."""
    served_days: Days | None = None
    """Days since the request of a served list; null: lists are kept."""


@dataclass(frozen=True)
class ExpiredRows:
    """Numbers of deleted rows.

    Attributes:
        events: Deleted events.
        served: Deleted served lists.
    """

    events: int
    served: int


def expire(store: EventStore, retention: Retention, now: datetime) -> ExpiredRows:
    """Delete expired rows, and remove the copies that the database keeps of them.

    Their sequence numbers are not used again.

    Args:
        store: Event store.
        retention: Ages after which rows expire.
        now: Current time.
    """
    events, served = tables.events, tables.served
    expired = ExpiredRows(
        _delete(store.engine, events, events.c.received_micros, retention.events_days, now),
        _delete(store.engine, served, served.c.micros, retention.served_days, now),
    )
    vacuum(store.engine, events, served)
    return expired


def _delete(
    engine: sa.Engine, table: sa.Table, since: sa.Column[int], days: int | None, now: datetime
) -> int:
    if days is None:
        return 0
    oldest = tables.micros(now - timedelta(days=days))
    old = sa.select(table.c.seq).where(since < oldest).order_by(table.c.seq).limit(_BATCH)
    statement = sa.delete(table).where(table.c.seq.in_(old))
    total, deleted = 0, _BATCH
    while deleted == _BATCH:
        with engine.begin() as connection:
            deleted = connection.execute(statement).rowcount
        total += deleted
    return total
