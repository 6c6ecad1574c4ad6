"""Export and erasure of the data of one user.

An erasure has a number in the sequence of the events. Events with a smaller number arrived before
the erasure, events with a greater number after it. A model that was packaged up to a smaller number
may contain data of the user from before the erasure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import polars as pl
import sqlalchemy as sa

from recloop import columns as c
from recloop.data.erased_users import ERASED, user_digest
from recloop.data.frame_schemas import TIMESTAMP_TYPE
from recloop.store import tables
from recloop.store.database import insert, lock_tables
from recloop.store.tables import erasures

_PAGE = 500
Row = dict[str, Any]


@dataclass(frozen=True)
class ErasureResult:
    """Result of an erasure.

    Attributes:
        moment: Time of the erasure.
        seq: Sequence number of the erasure.
        events: Number of deleted events.
        served: Number of deleted served lists.
    """

    moment: datetime
    seq: int
    events: int
    served: int


class PersonalData:
    """Reads and erases the data of one user.

    Safe for threads, and for several processes on one database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._number = sa.select(erasures.c.seq).where(erasures.c.who == sa.bindparam("who"))

    def erase(self, user_id: str, now: datetime) -> ErasureResult:
        """Delete the user's events and served lists and record the erasure, in one transaction.

        Args:
            user_id: User, as the store identifies users.
            now: Time of the erasure.
        """
        with self._engine.begin() as connection:
            # Without the lock, rows that are being written now would not be erased.
            lock_tables(connection, tables.events, tables.served)
            seq = _take_sequence_number(connection)
            removed = [
                connection.execute(sa.delete(table).where(table.c[c.USER] == user_id)).rowcount
                for table in (tables.events, tables.served)
            ]
            _record_erasure(connection, user_id, tables.micros(now), seq)
        return ErasureResult(now, seq, *removed)

    def last_erasure(self, user_id: str | None) -> int:
        """Return the sequence number of the user's last erasure, 0 if there was none."""
        if user_id is None:
            return 0
        with self._engine.connect() as connection:
            return connection.execute(self._number, {"who": user_digest(user_id)}).scalar() or 0

    def erasures_since(self, after: int) -> dict[str, int]:
        """Return the erasures with a sequence number greater than `after`.

        Returns:
            Sequence number of the last erasure of each user, by `user_digest`.
        """
        chosen = sa.select(erasures.c.who, erasures.c.seq).where(erasures.c.seq > after)
        with self._engine.connect() as connection:
            return dict(connection.execute(chosen).tuples().all())

    def erased_at(self, user_id: str) -> datetime | None:
        """Return the time of the user's last erasure, None if there was none."""
        chosen = sa.select(erasures.c.micros).where(erasures.c.who == user_digest(user_id))
        with self._engine.connect() as connection:
            micros = connection.execute(chosen).scalar()
        return None if micros is None else tables.moment(micros)

    def events(self, user_id: str) -> Iterator[Row]:
        """Return an iterator over the user's events in the order of their arrival."""
        return map(_readable, self._pages(tables.events, user_id))

    def served(self, user_id: str) -> Iterator[Row]:
        """Return an iterator over the lists that were served to the user, oldest first."""
        return map(_readable, self._pages(tables.served, user_id))

    def _pages(self, table: sa.Table, user_id: str) -> Iterator[Row]:
        """Yield the rows of the user.

        At most a page of rows is in memory, and no transaction is open between pages.
        """
        after = 0
        while True:
            chosen = (
                sa.select(table)
                .where(table.c[c.USER] == user_id, table.c.seq > after)
                .order_by(table.c.seq)
                .limit(_PAGE)
            )
            with self._engine.connect() as connection:
                page = [dict(row) for row in connection.execute(chosen).mappings()]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]["seq"]


def read_erasures(connection: sa.Connection) -> pl.DataFrame:
    """Return the last erasure of each erased user.

    Returns:
        Columns of `recloop.data.erased_users.ERASED`: `who` (String, a `user_digest`), `timestamp`
        (Datetime in microseconds, UTC) and `seq` (Int64).
    """
    chosen = sa.select(erasures.c.who, erasures.c.micros, erasures.c.seq)
    rows = [tuple(row) for row in connection.execute(chosen)]
    stored = dict(zip(ERASED, (pl.String(), pl.Int64(), pl.Int64()), strict=True))
    return pl.DataFrame(rows, schema=stored, orient="row").cast({c.TIME: TIMESTAMP_TYPE})


def delete_lists_from_before_erasure(
    connection: sa.Connection, lists: Iterable[tuple[str, str | None, int]]
) -> int:
    """Delete lists that were served before an erasure of their user and stored after it.

    Args:
        connection: Connection with the transaction that stores the lists.
        lists: Request id, user id, and number of the user's last erasure before the response.

    Returns:
        Number of deleted lists.
    """
    rows = [
        {"request": request, "who": user_digest(user), "knew": knew}
        for request, user, knew in lists
        if user is not None
    ]
    if not rows:
        return 0
    erased_since = sa.exists().where(
        erasures.c.who == sa.bindparam("who"), erasures.c.seq > sa.bindparam("knew")
    )
    late = sa.delete(tables.served).where(
        tables.served.c[c.REQUEST] == sa.bindparam("request"), erased_since
    )
    return connection.execute(late, rows).rowcount


def _take_sequence_number(connection: sa.Connection) -> int:
    """Take the next number of the events' sequence, so that no event gets it."""
    placeholder = {
        "event_id": f"erasure {uuid4().hex}",
        c.USER: "",
        c.ITEM: "",
        "micros": 0,
        c.EVENT: "",
        "received_micros": 0,
    }
    statement = insert(connection, tables.events).values(placeholder).returning(tables.events.c.seq)
    seq: int = connection.execute(statement).scalar_one()
    connection.execute(sa.delete(tables.events).where(tables.events.c.seq == seq))
    return seq


def _record_erasure(connection: sa.Connection, user_id: str, micros: int, seq: int) -> None:
    """Store an erasure. Its time never decreases, even if the clock is set back."""
    row = insert(connection, erasures).values(who=user_digest(user_id), micros=micros, seq=seq)
    new, old = row.excluded.micros, erasures.c.micros
    later = sa.case((new > old, new), else_=old)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[erasures.c.who], set_={"micros": later, "seq": row.excluded.seq}
        )
    )


def _readable(row: Row) -> Row:
    """Return a row with times in ISO 8601, and without its sequence number."""
    named = {"micros": c.TIME, "received_micros": "received"}
    return {
        named.get(name, name): tables.moment(value).isoformat() if name in named else value
        for name, value in row.items()
        if name != "seq"
    }
