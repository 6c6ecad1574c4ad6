"""Sequence numbers that every request reads first, in one query, to find what has changed."""

from typing import NamedTuple

import sqlalchemy as sa

from recloop.data.erased_users import user_digest
from recloop.store.item_store import last_change
from recloop.store.tables import erasures


class ChangeCursors(NamedTuple):
    """Sequence numbers of the last changes.

    Attributes:
        last_item_change: Last change of any item, 0 if there was none.
        last_erasure: Last erasure of the user, 0 if there was none.
    """

    last_item_change: int
    last_erasure: int


class ChangeCursorReader:
    """Reads change cursors.

    Safe for threads, and for several processes on one database.
    """

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        erased = sa.select(erasures.c.seq).where(erasures.c.who == sa.bindparam("who"))
        self._select = sa.select(last_change(), sa.func.coalesce(erased.scalar_subquery(), 0))

    def read(self, user_id: str | None) -> ChangeCursors:
        """Return the current cursors, for a user or for an anonymous request (None)."""
        who = None if user_id is None else user_digest(user_id)
        with self._database.connect() as connection:
            return ChangeCursors(*connection.execute(self._select, {"who": who}).one())
