"""What the store holds of one person: read page by page, erased in one transaction.

An erasure takes a number in the sequence of events. What was packaged up to a smaller number was
known before it; events with a greater one came after it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import polars as pl
import sqlalchemy as sa

from recloop import columns as c
from recloop.data.erased import ERASED, pseudonym
from recloop.store import tables
from recloop.store.connect import insert, lock
from recloop.store.tables import erasures

_PAGE = 500
Row = dict[str, Any]


@dataclass(frozen=True)
class Erased:
    """What one erasure removed, and its moment and number."""

    moment: datetime
    seq: int
    events: int
    served: int


class PersonalData:
    """Safe for threads, and for several processes on one file, as the store is."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._number = sa.select(erasures.c.seq).where(erasures.c.who == sa.bindparam("who"))

    def erase(self, user_id: str, now: datetime) -> Erased:
        """Delete the user's events and served lists, and remember that; all of it or nothing."""
        with self._engine.begin() as connection:
            lock(connection, tables.events, tables.served)  # what is being written is erased too
            seq = _take_number(connection)
            removed = [
                connection.execute(sa.delete(table).where(table.c[c.USER] == user_id)).rowcount
                for table in (tables.events, tables.served)
            ]
            _remember(connection, user_id, tables.micros(now), seq)
        return Erased(now, seq, *removed)

    def erasure_of(self, user_id: str | None) -> int:
        """The number of the user's last erasure, 0 where there was none."""
        if user_id is None:
            return 0
        with self._engine.connect() as connection:
            return connection.execute(self._number, {"who": pseudonym(user_id)}).scalar() or 0

    def erased_since(self, after: int) -> dict[str, int]:
        """By pseudonym, the numbers of the last erasures beyond the number `after`."""
        chosen = sa.select(erasures.c.who, erasures.c.seq).where(erasures.c.seq > after)
        with self._engine.connect() as connection:
            return dict(connection.execute(chosen).tuples().all())

    def erased_at(self, user_id: str) -> datetime | None:
        """The moment of the user's last erasure."""
        chosen = sa.select(erasures.c.micros).where(erasures.c.who == pseudonym(user_id))
        with self._engine.connect() as connection:
            micros = connection.execute(chosen).scalar()
        return None if micros is None else tables.moment(micros)

    def events(self, user_id: str) -> Iterator[Row]:
        """The user's events in the order of their arrival."""
        return map(_readable, self._pages(tables.events, user_id))

    def served(self, user_id: str) -> Iterator[Row]:
        """The lists that the user was answered with."""
        return map(_readable, self._pages(tables.served, user_id))

    def _pages(self, table: sa.Table, user_id: str) -> Iterator[Row]:
        """Every row of the user; no more than a page of them in memory, no transaction held open."""
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


def all_erased(connection: sa.Connection) -> pl.DataFrame:
    """Every erasure; see `recloop.data.erased.ERASED`."""
    chosen = sa.select(erasures.c.who, erasures.c.micros, erasures.c.seq)
    rows = [tuple(row) for row in connection.execute(chosen)]
    stored = dict(zip(ERASED, (pl.String(), pl.Int64(), pl.Int64()), strict=True))
    return pl.DataFrame(rows, schema=stored, orient="row").cast({c.TIME: c.TIMESTAMP_TYPE})


def drop_late(connection: sa.Connection, answers: Iterable[tuple[str, str | None, int]]) -> int:
    """Delete lists that were answered before an erasure of their user and logged after it.

    Args:
        connection: of the transaction that logs them.
        answers: request id, user id, and the number of the last erasure that the answer knew of.

    Returns:
        How many were deleted.
    """
    rows = [
        {"request": request, "who": pseudonym(user), "knew": knew}
        for request, user, knew in answers
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


def _take_number(connection: sa.Connection) -> int:
    """A number of the events' sequence that no event has or will get."""
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


def _remember(connection: sa.Connection, user_id: str, micros: int, seq: int) -> None:
    """The moment never moves back, whatever the clock does."""
    row = insert(connection, erasures).values(who=pseudonym(user_id), micros=micros, seq=seq)
    new, old = row.excluded.micros, erasures.c.micros
    later = sa.case((new > old, new), else_=old)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[erasures.c.who], set_={"micros": later, "seq": row.excluded.seq}
        )
    )


def _readable(row: Row) -> Row:
    """Moments in words instead of microseconds; the numbers of rows left out."""
    named = {"micros": c.TIME, "received_micros": "received"}
    return {
        named.get(name, name): tables.moment(value).isoformat() if name in named else value
        for name, value in row.items()
        if name != "seq"
    }
