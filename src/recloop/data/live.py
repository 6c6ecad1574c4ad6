"""Items as the running service was told of them, and what a source's items become with them.

Frames and plain values; where they are kept is the store's concern.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from recloop import columns as c


@dataclass(frozen=True)
class LiveItem:
    """An item in the contract's fields, upserted or deleted. Without a title: deleted, and never upserted.

    `attributes` are JSON.
    """

    item_id: str
    title: str | None
    text: str | None = None
    categories: tuple[str, ...] = ()
    attributes: str | None = None
    published_at: datetime | None = None
    expires_at: datetime | None = None
    available: bool = True
    deleted: bool = False

    @property
    def offered(self) -> bool:
        """Whether it is on offer at all, dates aside."""
        return self.available and not self.deleted


def frame(items: Sequence[LiveItem]) -> pl.DataFrame:
    """In the contract's form; deleted ones are unavailable."""
    rows = [
        {**vars(item), c.CATEGORIES: list(item.categories), c.AVAILABLE: item.offered}
        for item in items
    ]
    return pl.DataFrame([{name: row[name] for name in c.ITEMS} for row in rows], schema=c.ITEMS)


def merge(source: pl.DataFrame, live: Sequence[LiveItem]) -> pl.DataFrame:
    """A source's items, as they are now: the service was told later, so what it was told wins.

    A deleted item stays, unavailable, so that what people did with it still counts.
    """
    told = frame([item for item in live if item.title is not None])
    gone = [item.item_id for item in live if item.title is None]
    untold = source.filter(~pl.col(c.ITEM).is_in(told[c.ITEM].implode()))
    deleted = pl.col(c.ITEM).is_in(gone)
    return pl.concat([untold.with_columns(pl.col(c.AVAILABLE) & ~deleted), told])
