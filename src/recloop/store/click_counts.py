"""Counts of impressions and clicks of each item, updated from new rows of the store."""

from collections import Counter

import sqlalchemy as sa

from recloop import columns as c
from recloop.store.tables import events, served

# Largest number of rows of each table that one update reads.
_ROWS = 20_000


class ClickCounts:
    """Counts of impressions and clicks, in the memory of one process.

    An impression is a position in a served list. A click is a positive event that names a served
    list with the item; it counts once for each list. Rows that are erased or expire stay counted
    until the process ends. One thread may call `update`; others may read the counts meanwhile.

    Attributes:
        shown: Impressions of each item.
        clicked: Clicks of each item.
        total_shown: Impressions of all items.
        total_clicked: Clicks of all items.
    """

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._last_served = self._last_event = 0
        self._counted: set[tuple[str, str]] = set()
        self.shown: Counter[str] = Counter()
        self.clicked: Counter[str] = Counter()
        self.total_shown = self.total_clicked = 0

    def update(self) -> bool:
        """Count the next new rows.

        Returns:
            Whether all rows are counted now.

        Raises:
            SQLAlchemyError: The store is not available.
        """
        with self._database.connect() as connection:
            lists = connection.execute(
                sa.select(served.c.seq, served.c["items"])
                .where(served.c.seq > self._last_served)
                .order_by(served.c.seq)
                .limit(_ROWS)
            ).all()
            clicks = connection.execute(
                sa.select(events.c.seq, events.c[c.REQUEST], events.c[c.ITEM], served.c["items"])
                .join(served, served.c[c.REQUEST] == events.c[c.REQUEST])
                .where(events.c.seq > self._last_event, events.c[c.EVENT].in_(c.POSITIVE_EVENTS))
                .order_by(events.c.seq)
                .limit(_ROWS)
            ).all()
        for seq, items in lists:
            self._last_served = seq
            self.shown.update(items)
            self.total_shown += len(items)
        for seq, request, item, items in clicks:
            self._last_event = seq
            if item in items and (request, item) not in self._counted:
                self._counted.add((request, item))
                self.clicked[item] += 1
                self.total_clicked += 1
        return len(lists) < _ROWS and len(clicks) < _ROWS
