"""Items that the service was told of since the source was read: the newest word on each, in order.

Every upsert and deletion takes the next sequence number, so that whoever has read up to one number
finds all that came after it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from recloop import columns as c
from recloop.data.live import LiveItem
from recloop.store.connect import create, insert, lock

_SEQ, _DELETED = "seq", "deleted"
_items = sa.Table(
    "items",
    sa.MetaData(),
    sa.Column(c.ITEM, sa.Text, primary_key=True),
    sa.Column(_SEQ, sa.Integer, nullable=False),
    sa.Column(c.TITLE, sa.Text),
    sa.Column(c.TEXT, sa.Text),
    sa.Column(c.CATEGORIES, sa.JSON, nullable=False),
    sa.Column(c.ATTRIBUTES, sa.Text),
    sa.Column(c.PUBLISHED, sa.BigInteger),
    sa.Column(c.EXPIRES, sa.BigInteger),
    sa.Column(c.AVAILABLE, sa.Boolean, nullable=False),
    sa.Column(_DELETED, sa.Boolean, nullable=False),
    sa.Index("items_by_seq", _SEQ),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def last_change() -> sa.ScalarSelect[int]:
    """The number of the last change of any item, 0 where there was none."""
    return sa.select(sa.func.coalesce(sa.func.max(_items.c.seq), 0)).scalar_subquery()


class ItemStore:
    """Safe for threads, and for several processes on one database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        create(database, _items)
        self._changes = (
            sa.select(_items).where(_items.c.seq > sa.bindparam("after")).order_by(_items.c.seq)
        )

    def upsert(self, items: Iterable[LiveItem]) -> None:
        """Store a batch, as a whole or not at all; of equal ids the last wins. On disk at return."""
        self._write(items, set(_items.c.keys()) - {c.ITEM})

    def delete(self, item_id: str) -> None:
        """An item is gone until it is upserted again, whether or not it is known here."""
        gone = LiveItem(item_id, None, available=False, deleted=True)
        self._write([gone], {_SEQ, c.AVAILABLE, _DELETED})

    def changes(self, after: int) -> tuple[list[LiveItem], int]:
        """The newest word on each item that changed after a sequence number, oldest first.

        Returns:
            the items, and the sequence number of the last one, which is `after` where there is none.
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
            lock(connection, _items)  # who has read up to a number finds all that comes later
            new = insert(connection, _items).values({_SEQ: following})
            newest = new.on_conflict_do_update(
                index_elements=[c.ITEM], set_={name: new.excluded[name] for name in replaced}
            )
            connection.execute(newest, rows)


def _row(item: LiveItem) -> dict[str, Any]:
    moments = {name: _micros(getattr(item, name)) for name in (c.PUBLISHED, c.EXPIRES)}
    return {**vars(item), c.CATEGORIES: list(item.categories), **moments}


def _item(row: Mapping[Any, Any]) -> LiveItem:
    told = {name: value for name, value in row.items() if name != _SEQ}
    moments = {name: _moment(told[name]) for name in (c.PUBLISHED, c.EXPIRES)}
    return LiveItem(**told | moments | {c.CATEGORIES: tuple(told[c.CATEGORIES])})


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
