"""How long rows are held. Told the time; a scheduled flow asks (flows/retain.py)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import PositiveInt

from recloop.config import Settings
from recloop.store import tables
from recloop.store.connect import forget
from recloop.store.events import EventStore

# Rows deleted in one transaction: a writer waits for no more than that.
_BATCH = 5_000


class Retention(Settings):
    """Days that rows are held, null for ever.

    Of an event they count from its arrival, of a served list from the moment of the request.
    """

    events_days: PositiveInt | None = None
    served_days: PositiveInt | None = None


@dataclass(frozen=True)
class Expired:
    """How many rows were deleted."""

    events: int
    served: int


def expire(store: EventStore, retention: Retention, now: datetime) -> Expired:
    """Delete what is older than it may be, and clear the copies that the database keeps of it.

    Sequence numbers are not given out again.
    """
    events, served = tables.events, tables.served
    expired = Expired(
        _delete(store.engine, events, events.c.received_micros, retention.events_days, now),
        _delete(store.engine, served, served.c.micros, retention.served_days, now),
    )
    forget(store.engine, events, served)
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
