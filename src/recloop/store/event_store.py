"""Event store: append-only, idempotent by event id, and on disk when a call returns.

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
from recloop.data.frame_schemas import INTERACTIONS, TIMESTAMP_TYPE
from recloop.store import tables
from recloop.store.database import (
    Row,
    begin_consistent_read,
    connect,
    insert_new,
    is_remote,
    lock_tables,
)
from recloop.store.erasure import PersonalData, delete_lists_from_before_erasure, read_erasures
from recloop.store.schema_version import ensure_current
from recloop.store.tables import micros

_events, _served = tables.events, tables.served
_BATCH_ROWS = 50_000


@dataclass(frozen=True)
class StoredEvent:
    """An event of a user, as a client sent it."""

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
    """A list that the service returned.

    Attributes:
        request_id: Id of the response.
        user_id: User, None for an anonymous request.
        timestamp: Time of the request.
        model_version: Version of the model.
        arm: Arm of the experiment.
        items: Ids of the items, best first.
        scores: Scores of the items.
        propensities: Probability of each item at its position, given the items above it.
        erasure: Number of the user's last erasure before the response. It is not stored.
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
    """Events and erasures as of one moment.

    Attributes:
        events: All events, with the columns of `EventStore.events`.
        erasures: All erasures, with the columns of `read_erasures`.
        until: Last sequence number of an event or erasure, 0 if there is none.
    """

    events: pl.DataFrame
    erasures: pl.DataFrame
    until: int


class EventStore:
    """Storage of events and served lists.

    Safe for threads, and for several processes on one database.

    Args:
        url: URL of the database. Its tables are created, or upgraded if they are older.

    Attributes:
        personal: Export and erasure of the data of one user.

    Raises:
        StoreSchemaError: A newer version has upgraded the store, or its tables are not recloop's.
    """

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        try:
            ensure_current(self._engine, "events")
        except BaseException:
            self._engine.dispose()
            raise
        self.personal = PersonalData(self._engine)
        self._recent = _select_recent()

    @classmethod
    def at(cls, path: Path) -> "EventStore":
        """Return the store in a SQLite file, which is created if it does not exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{path}")

    @classmethod
    def of(cls, home: Home) -> "EventStore":
        """Return the store of a home."""
        home.root.mkdir(parents=True, exist_ok=True)
        return cls(home.database)

    @property
    def engine(self) -> sa.Engine:
        """Return the engine, which other tables of the database use too."""
        return self._engine

    @property
    def remote(self) -> bool:
        """Return whether the database is a server, instead of a file."""
        return is_remote(self._engine)

    def append(self, events: Iterable[StoredEvent]) -> int:
        """Store events and return the number of new ones. They are on disk when this returns."""
        return len(self.append_new(events))

    def append_new(self, events: Iterable[StoredEvent]) -> set[str]:
        """Store events and return the ids of the new ones. They are on disk when this returns."""
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
        """Return the time of the event that arrived last, None if there are no events."""
        last = sa.select(_events.c.micros).order_by(_events.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            micros = connection.execute(last).scalar()
        return None if micros is None else tables.moment(micros)

    def append_served(self, lists: Iterable[ServedList]) -> int:
        """Store served lists and return the number of new ones.

        A request id that is stored already is left out, and so is a list that was served before an
        erasure of its user.
        """
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
            return added - delete_lists_from_before_erasure(
                connection,
                ((served.request_id, served.user_id, served.erasure) for served in answers),
            )

    def recent(self, user_id: str, after: int, limit: int) -> list[tuple[str, str, float]]:
        """Return the newest events of a user, without impressions.

        Args:
            user_id: User.
            after: Only events with a greater sequence number are returned.
            limit: Largest number of events.

        Returns:
            Item id, event type and seconds since 1970 of each event, oldest first.
        """
        with self._engine.connect() as connection:
            rows = connection.execute(
                self._recent, {"user": user_id, "after": after, "limit": limit}
            ).all()
        return [(row[0], row[1], row[2] / 1e6) for row in reversed(rows)]

    def events(self) -> pl.DataFrame:
        """Return all events in the order of their arrival.

        Returns:
            Columns `seq` (Int64), `event_id` (String) and those of
            `recloop.data.frame_schemas.INTERACTIONS` with its types: `user_id`, `item_id`, `event`,
            `query`, `session_id`, `request_id` (String), `timestamp` (Datetime in microseconds,
            UTC), `value` (Float64).
        """
        with self._engine.connect() as connection:
            return _all_events(connection)

    def feedback(self) -> Feedback:
        """Return all events and erasures, read in one transaction.

        No event with a sequence number up to `until` is stored later. The columns are those of
        `EventStore.events` and `read_erasures`.
        """
        until = self._last_committed_number()
        with self._engine.connect() as connection:
            begin_consistent_read(connection)
            events, erased = _all_events(connection), read_erasures(connection)
        return Feedback(events.filter(pl.col("seq") <= until), erased, until)

    def served(self) -> pl.DataFrame:
        """Return all served lists, in the order in which they were stored.

        Returns:
            Columns `request_id`, `user_id`, `model_version`, `arm` (String), `timestamp` (Datetime
            in microseconds, UTC), `items` (List of String), `scores` and `propensities` (List of
            Float64), as in `ServedList`.
        """
        schema = {
            c.REQUEST: pl.String(),
            c.USER: pl.String(),
            c.TIME: TIMESTAMP_TYPE,
            "model_version": pl.String(),
            "arm": pl.String(),
            "items": pl.List(pl.String()),
            c.SCORES: pl.List(pl.Float64()),
            "propensities": pl.List(pl.Float64()),
        }
        with self._engine.connect() as connection:
            return _read_frame(connection, _served, schema)

    def _last_committed_number(self) -> int:
        """Return the last number up to which no event is being written, 0 if there is none."""
        numbers = sa.union_all(
            sa.select(_events.c.seq), sa.select(tables.erasures.c.seq)
        ).subquery()
        with self._engine.begin() as connection:
            lock_tables(connection, _events)
            return connection.execute(sa.select(sa.func.max(numbers.c.seq))).scalar() or 0

    def close(self) -> None:
        """Close every connection of the pool."""
        self._engine.dispose()


def _all_events(connection: sa.Connection) -> pl.DataFrame:
    schema = {"seq": pl.Int64(), "event_id": pl.String(), **INTERACTIONS}
    return _read_frame(connection, _events, schema)


def _read_frame(
    connection: sa.Connection, table: sa.Table, schema: dict[str, pl.DataType]
) -> pl.DataFrame:
    """Read columns of a table, ordered by sequence number.

    Besides the frame, at most `_BATCH_ROWS` rows are in memory at a time.
    """
    stored = {("micros" if name == c.TIME else name): kind for name, kind in schema.items()}
    stored["micros"] = pl.Int64()
    batches = pl.read_database(
        sa.select(*(table.c[name] for name in stored)).order_by(table.c.seq),
        connection.execution_options(stream_results=True),  # PostgreSQL sends batches, not all rows
        iter_batches=True,
        batch_size=_BATCH_ROWS,
        schema_overrides=stored,
    )
    frame = pl.concat([pl.DataFrame(schema=stored), *batches])
    return frame.rename({"micros": c.TIME}).cast({c.TIME: TIMESTAMP_TYPE})


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
