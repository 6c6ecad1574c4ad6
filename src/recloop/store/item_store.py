"""Item store: items that were changed through the API, in the order of their last change.

Every upsert and deletion takes the next sequence number, so that a reader finds all changes since
the last number that it has read.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from recloop import columns as c
from recloop.data.live_items import LiveItem
from recloop.store import tables
from recloop.store.database import insert, lock_tables

_SEQ, _DELETED = "seq", "deleted"
_items = tables.items
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def last_change() -> sa.ScalarSelect[int]:
    """Return a subquery of the sequence number of the last change, 0 if there was none."""
    return sa.select(sa.func.coalesce(sa.func.max(_items.c.seq), 0)).scalar_subquery()


class ItemStore:
    """Storage of changed items.

    Safe for threads, and for several processes on one database.

    Args:
        database: Engine of an event store.
    """

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._changes = (
            sa.select(_items).where(_items.c.seq > sa.bindparam("after")).order_by(_items.c.seq)
        )

    def upsert(self, items: Iterable[LiveItem]) -> None:
        """Insert or replace items in one transaction; of equal ids, the last one counts.

        The items are on disk when this returns.
        """
        self._write(items, set(_items.c.keys()) - {c.ITEM})

    def delete(self, item_id: str) -> None:
        """Mark an item as deleted until its next upsert, whether or not the store has it."""
        gone = LiveItem(item_id, None, available=False, deleted=True)
        self._write([gone], {_SEQ, c.AVAILABLE, _DELETED})

    def changes(self, after: int) -> tuple[list[LiveItem], int]:
        """Return the newest version of each item that changed after a sequence number.

        Returns:
            The items, oldest change first, and the sequence number of the last one, or `after` if
            there is none.
        """
        with self._database.connect() as connection:
            rows = connection.execute(self._changes, {"after": after}).mappings().all()
        return [_item(row) for row in rows], rows[-1][_SEQ] if rows else after

    def _write(self, items: Iterable[LiveItem], replaced: set[str]) -> None:
        rows = [_row(item) for item in items]
        if not rows:
            return
        before = _items.alias()
        following = sa.select(sa.func.coalesce(sa.func.max(before.c.seq), 0) + 1).scalar_subquery()
        with self._database.begin() as connection:
            # Numbers must be committed in their order, so that readers do not miss a change.
            lock_tables(connection, _items)
            new = insert(connection, _items).values({_SEQ: following})
            newest = new.on_conflict_do_update(
                index_elements=[c.ITEM], set_={name: new.excluded[name] for name in replaced}
            )
            connection.execute(newest, rows)


def _row(item: LiveItem) -> dict[str, Any]:
    times = {name: _micros(getattr(item, name)) for name in (c.PUBLISHED, c.EXPIRES)}
    return {**vars(item), c.CATEGORIES: list(item.categories), **times}


def _item(row: Mapping[Any, Any]) -> LiveItem:
    values = {name: value for name, value in row.items() if name != _SEQ}
    times = {name: _moment(values[name]) for name in (c.PUBLISHED, c.EXPIRES)}
    return LiveItem(**values | times | {c.CATEGORIES: tuple(values[c.CATEGORIES])})


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
