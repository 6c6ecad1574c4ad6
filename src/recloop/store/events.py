"""The event store: append-only, idempotent by event id, on disk before it answers.

SQLite with a write-ahead log, through SQLAlchemy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from recloop import columns as c
from recloop.store.connect import connect

_metadata = sa.MetaData()
_events = sa.Table(
    "events",
    _metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column(c.USER, sa.Text, nullable=False),
    sa.Column(c.ITEM, sa.Text, nullable=False),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column(c.EVENT, sa.Text, nullable=False),
    sa.Column(c.VALUE, sa.Float),
    sa.Column(c.QUERY, sa.Text),
    sa.Column(c.SESSION, sa.Text),
    sa.Column(c.REQUEST, sa.Text),
    sa.Column("received_micros", sa.BigInteger, nullable=False),
    sa.Index("events_of_user", c.USER, "micros", "seq"),
    sqlite_autoincrement=True,
)
_served = sa.Table(
    "served",
    _metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column(c.REQUEST, sa.Text, nullable=False, unique=True),
    sa.Column(c.USER, sa.Text),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("items", sa.JSON, nullable=False),
    sa.Column(c.SCORES, sa.JSON, nullable=False),
    sa.Column("propensities", sa.JSON, nullable=False),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """One answer of the service: what was shown, at which position, by which model."""

    request_id: str
    user_id: str | None
    timestamp: datetime
    model_version: str
    arm: str
    items: Sequence[str]
    scores: Sequence[float]
    propensities: Sequence[float]


class EventStore:
    """Safe for threads, and for several processes on one SQLite file."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        _metadata.create_all(self._engine)
        self._recent = _select_recent()

    @classmethod
    def at(cls, path: Path) -> "EventStore":
        """The store in this SQLite file, created where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{path}")

    @property
    def database(self) -> sa.Engine:
        """The connections, for what is stored beside events."""
        return self._engine

    def append(self, events: Iterable[StoredEvent]) -> int:
        """Store what is new; returns how many were. All are on disk when this returns."""
        now = _micros(datetime.now(UTC))
        rows: list[dict[str, object]] = [
            {
                "event_id": event.event_id,
                c.USER: event.user_id,
                c.ITEM: event.item_id,
                "micros": _micros(event.timestamp),
                c.EVENT: event.event.value,
                c.VALUE: event.value,
                c.QUERY: event.query,
                c.SESSION: event.session_id,
                c.REQUEST: event.request_id,
                "received_micros": now,
            }
            for event in events
        ]
        return self._insert(_events, "event_id", rows)

    def append_served(self, lists: Iterable[ServedList]) -> int:
        """Log answers; the same request id twice counts once."""
        rows: list[dict[str, object]] = [
            {
                c.REQUEST: served.request_id,
                c.USER: served.user_id,
                "micros": _micros(served.timestamp),
                "model_version": served.model_version,
                "arm": served.arm,
                "items": list(served.items),
                c.SCORES: list(served.scores),
                "propensities": list(served.propensities),
            }
            for served in lists
        ]
        return self._insert(_served, c.REQUEST, rows)

    def _insert(self, table: sa.Table, key: str, rows: list[dict[str, object]]) -> int:
        if not rows:
            return 0
        statement = insert(table).on_conflict_do_nothing(index_elements=[key])
        with self._engine.begin() as connection:
            return len(connection.execute(statement.returning(table.c.seq), rows).all())

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
        chosen = sa.select(_events).order_by(_events.c.seq)
        schema = {"seq": pl.Int64(), "event_id": pl.String(), **c.INTERACTIONS}
        return self._frame(chosen, schema)

    def served(self) -> pl.DataFrame:
        """Answers given: request, user, time, model version, items, scores."""
        chosen = sa.select(_served).order_by(_served.c.seq)
        schema = {
            c.REQUEST: pl.String(),
            c.USER: pl.String(),
            c.TIME: c.TIMESTAMP_TYPE,
            "model_version": pl.String(),
            "items": pl.List(pl.String()),
            c.SCORES: pl.List(pl.Float64()),
        }
        return self._frame(chosen, schema)

    def _frame(
        self, chosen: sa.Select[tuple[object, ...]], schema: dict[str, pl.DataType]
    ) -> pl.DataFrame:
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(chosen).mappings()]
        stored = {("micros" if name == c.TIME else name): kind for name, kind in schema.items()}
        stored["micros"] = pl.Int64()
        frame = pl.DataFrame([{k: row[k] for k in stored} for row in rows], schema=stored)
        return frame.rename({"micros": c.TIME}).cast({c.TIME: c.TIMESTAMP_TYPE})

    def close(self) -> None:
        """Close every connection of the pool."""
        self._engine.dispose()


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


def _micros(moment: datetime) -> int:
    return round((moment - _EPOCH).total_seconds() * 1_000_000)
