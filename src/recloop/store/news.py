"""What every request asks the store first, in one question: what has changed that concerns it."""

from typing import NamedTuple

import sqlalchemy as sa

from recloop.data.erased import pseudonym
from recloop.store.items import last_change
from recloop.store.tables import erasures


class News(NamedTuple):
    """Numbers of the last change of any item, and of the user's last erasure; 0 where there was none."""

    changed: int
    erased: int


class NewsDesk:
    """Safe for threads, and for several processes on one database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        erased = sa.select(erasures.c.seq).where(erasures.c.who == sa.bindparam("who"))
        self._both = sa.select(last_change(), sa.func.coalesce(erased.scalar_subquery(), 0))

    def of(self, user_id: str | None) -> News:
        """As of now, for a user or nobody."""
        who = None if user_id is None else pseudonym(user_id)
        with self._database.connect() as connection:
            return News(*connection.execute(self._both, {"who": who}).one())
