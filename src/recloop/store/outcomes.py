"""How often each item was shown and then taken up, counted on as the store grows."""

from collections import Counter

import sqlalchemy as sa

from recloop import columns as c
from recloop.store.tables import events, served

# Rows of each table that one step reads at most.
_ROWS = 20_000


class Outcomes:
    """Counts of one process, for one thread that lets them grow and any that read them.

    Shown: places in served lists. Taken: positive events that name the list which has the item, once
    for each list. What is erased or expires stays counted until the process ends.
    """

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._served = self._events = 0
        self._known: set[tuple[str, str]] = set()
        self.shown: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.all_shown = self.all_taken = 0

    def follow(self) -> bool:
        """Count what has come since. Returns whether that was all. Raises SQLAlchemyError."""
        with self._database.connect() as connection:
            lists = connection.execute(
                sa.select(served.c.seq, served.c["items"])
                .where(served.c.seq > self._served)
                .order_by(served.c.seq)
                .limit(_ROWS)
            ).all()
            clicks = connection.execute(
                sa.select(events.c.seq, events.c[c.REQUEST], events.c[c.ITEM], served.c["items"])
                .join(served, served.c[c.REQUEST] == events.c[c.REQUEST])
                .where(events.c.seq > self._events, events.c[c.EVENT].in_(c.POSITIVE_EVENTS))
                .order_by(events.c.seq)
                .limit(_ROWS)
            ).all()
        for seq, items in lists:
            self._served = seq
            self.shown.update(items)
            self.all_shown += len(items)
        for seq, request, item, items in clicks:
            self._events = seq
            if item in items and (request, item) not in self._known:
                self._known.add((request, item))
                self.taken[item] += 1
                self.all_taken += 1
        return len(lists) < _ROWS and len(clicks) < _ROWS
