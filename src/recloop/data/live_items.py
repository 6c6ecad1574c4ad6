"""Items that were written through the API, and how they change the items of the source.

Frames and plain values only; the store keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from recloop import columns as c
from recloop.data.frame_schemas import ITEMS


@dataclass(frozen=True)
class LiveItem:
    """Item in the fields of the contract, upserted or deleted through the API.

    Attributes:
        item_id: Id of the item.
        title: Title; None if the item was deleted without having been upserted.
        text: Description.
        categories: Categories.
        attributes: Attributes as JSON.
        published_at: Time from which the item may be recommended.
        expires_at: Time from which it may no longer be recommended.
        available: Whether it may be recommended at all.
        deleted: Whether it was deleted.
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
    def is_available(self) -> bool:
        """Availability of the item, regardless of its dates: whether it may be recommended."""
        return self.available and not self.deleted


def to_frame(items: Sequence[LiveItem]) -> pl.DataFrame:
    """Return items as a table in the schema of the contract; deleted ones are unavailable."""
    rows = [
        {**vars(item), c.CATEGORIES: list(item.categories), c.AVAILABLE: item.is_available}
        for item in items
    ]
    return pl.DataFrame([{name: row[name] for name in ITEMS} for row in rows], schema=ITEMS)


def apply_live_items(source: pl.DataFrame, live: Sequence[LiveItem]) -> pl.DataFrame:
    """Return the items of a source with the changes that were made through the API.

    Live items replace those of the source. A deleted item stays in the table, unavailable, so that
    interactions with it still count.

    Args:
        source: Items of the source, in the schema of the contract.
        live: Items written through the API.
    """
    upserted = to_frame([item for item in live if item.title is not None])
    deleted_ids = [item.item_id for item in live if item.title is None]
    unchanged = source.filter(~pl.col(c.ITEM).is_in(upserted[c.ITEM].implode()))
    deleted = pl.col(c.ITEM).is_in(deleted_ids)
    return pl.concat([unchanged.with_columns(pl.col(c.AVAILABLE) & ~deleted), upserted])
