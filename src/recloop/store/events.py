"""The event store: append-only, idempotent by event id, on disk before it answers.

SQLite with a write-ahead log, or PostgreSQL, through SQLAlchemy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from recloop import columns as c
from recloop.config import Home
from recloop.store import tables
from recloop.store.connect import Row, connect, create, insert_new, is_remote, lock, read_as_one
from recloop.store.erasure import PersonalData, all_erased, drop_late
from recloop.store.tables import micros

_events, _served = tables.events, tables.served


@dataclass(frozen=True)
class StoredEvent:
    """One thing that a user did, as a client reported it."""

    event_id: str
    user_id: str
    item_id: str
    timestamp: datetime
    event: c.Event
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class ServedList:
    """One answer of the service: what was shown, at which position, by which model.

    `erasure` is the number of the user's last erasure that the answer knew of; it is not stored.
    """

    request_id: str
    user_id: str | None
    timestamp: datetime
    model_version: str
    arm: str
    items: Sequence[str]
    scores: Sequence[float]
    propensities: Sequence[float]
    erasure: int = 0


@dataclass(frozen=True)
class Feedback:
    """Events and erasures as of one moment, and the last sequence number given out until then."""

    events: pl.DataFrame
    erased: pl.DataFrame
    until: int


class EventStore:
    """Safe for threads, and for several processes on one database."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        create(self._engine, *tables.metadata.sorted_tables)
        self.personal = PersonalData(self._engine)
        self._recent = _select_recent()

    @classmethod
    def at(cls, path: Path) -> "EventStore":
        """The store in this SQLite file, created where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{path}")

    @classmethod
    def of(cls, home: Home) -> "EventStore":
        """The store that this home uses."""
        home.root.mkdir(parents=True, exist_ok=True)
        return cls(home.database)

    @property
    def engine(self) -> sa.Engine:
        """The connections, for what is stored beside events too."""
        return self._engine

    @property
    def remote(self) -> bool:
        """Whether it is asked over a connection, for which one waits."""
        return is_remote(self._engine)

    def append(self, events: Iterable[StoredEvent]) -> int:
        """Store what is new; returns how many were. All are on disk when this returns."""
        return len(self.append_new(events))

    def append_new(self, events: Iterable[StoredEvent]) -> set[str]:
        """The same; returns the ids of those that were new."""
        now = micros(datetime.now(UTC))
        rows: list[Row] = [
            {
                "event_id": event.event_id,
                c.USER: event.user_id,
                c.ITEM: event.item_id,
                "micros": micros(event.timestamp),
                c.EVENT: event.event.value,
                c.VALUE: event.value,
                c.QUERY: event.query,
                c.SESSION: event.session_id,
                c.REQUEST: event.request_id,
                "received_micros": now,
            }
            for event in events
        ]
        with self._engine.begin() as connection:
            return set(insert_new(connection, _events, "event_id", rows))

    def newest(self) -> datetime | None:
        """When the event that arrived last happened."""
        last = sa.select(_events.c.micros).order_by(_events.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            micros = connection.execute(last).scalar()
        return None if micros is None else tables.moment(micros)

    def append_served(self, lists: Iterable[ServedList]) -> int:
        """Log answers; the same request id twice counts once, one from before an erasure not at all."""
        answers = list(lists)
        rows: list[Row] = [
            {
                c.REQUEST: served.request_id,
                c.USER: served.user_id,
                "micros": micros(served.timestamp),
                "model_version": served.model_version,
                "arm": served.arm,
                "items": list(served.items),
                c.SCORES: list(served.scores),
                "propensities": list(served.propensities),
            }
            for served in answers
        ]
        with self._engine.begin() as connection:
            added = len(insert_new(connection, _served, c.REQUEST, rows))
            return added - drop_late(
                connection,
                ((served.request_id, served.user_id, served.erasure) for served in answers),
            )

    def recent(self, user_id: str, after: int, limit: int) -> list[tuple[str, str, float]]:
        """The user's last `limit` events beyond sequence number `after`, impressions left out.

        Returns:
            (item id, event, seconds since 1970), oldest first.
        """
        with self._engine.connect() as connection:
            rows = connection.execute(
                self._recent, {"user": user_id, "after": after, "limit": limit}
            ).all()
        return [(row[0], row[1], row[2] / 1e6) for row in reversed(rows)]

    def events(self) -> pl.DataFrame:
        """All events: seq, event_id and the contract's columns."""
        with self._engine.connect() as connection:
            return _all_events(connection)

    def feedback(self) -> Feedback:
        """All events, and of whom what was erased, read in one transaction.

        An event with a smaller number than `until` is among them or will never be.
        """
        until = self._settled()
        with self._engine.connect() as connection:
            read_as_one(connection)
            events, erased = _all_events(connection), all_erased(connection)
        return Feedback(events.filter(pl.col("seq") <= until), erased, until)

    def served(self) -> pl.DataFrame:
        """Answers given: request, user, time, model version, arm, items, scores, propensities.

        A propensity is the probability of the item in its place, given those before it.
        """
        chosen = sa.select(_served).order_by(_served.c.seq)
        schema = {
            c.REQUEST: pl.String(),
            c.USER: pl.String(),
            c.TIME: c.TIMESTAMP_TYPE,
            "model_version": pl.String(),
            "arm": pl.String(),
            "items": pl.List(pl.String()),
            c.SCORES: pl.List(pl.Float64()),
            "propensities": pl.List(pl.Float64()),
        }
        with self._engine.connect() as connection:
            return _frame(connection, chosen, schema)

    def _settled(self) -> int:
        """The last number up to which nothing is being written any more, 0 where there is none."""
        numbers = sa.union_all(
            sa.select(_events.c.seq), sa.select(tables.erasures.c.seq)
        ).subquery()
        with self._engine.begin() as connection:
            lock(connection, _events)
            return connection.execute(sa.select(sa.func.max(numbers.c.seq))).scalar() or 0

    def close(self) -> None:
        """Close every connection of the pool."""
        self._engine.dispose()


def _all_events(connection: sa.Connection) -> pl.DataFrame:
    chosen = sa.select(_events).order_by(_events.c.seq)
    schema = {"seq": pl.Int64(), "event_id": pl.String(), **c.INTERACTIONS}
    return _frame(connection, chosen, schema)


def _frame(
    connection: sa.Connection,
    chosen: sa.Select[tuple[object, ...]],
    schema: dict[str, pl.DataType],
) -> pl.DataFrame:
    rows = [dict(row) for row in connection.execute(chosen).mappings()]
    stored = {("micros" if name == c.TIME else name): kind for name, kind in schema.items()}
    stored["micros"] = pl.Int64()
    frame = pl.DataFrame([{k: row[k] for k in stored} for row in rows], schema=stored)
    return frame.rename({"micros": c.TIME}).cast({c.TIME: c.TIMESTAMP_TYPE})


def _select_recent() -> sa.Select[tuple[str, str, int]]:
    newest_first = (_events.c.micros.desc(), _events.c.seq.desc())
    return (
        sa.select(_events.c[c.ITEM], _events.c[c.EVENT], _events.c.micros)
        .where(
            _events.c[c.USER] == sa.bindparam("user"),
            _events.c.seq > sa.bindparam("after"),
            _events.c[c.EVENT] != c.Event.IMPRESSION.value,
        )
        .order_by(*newest_first)
        .limit(sa.bindparam("limit"))
    )
