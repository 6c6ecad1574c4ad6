"""Availability of items: flags and dates that hold for every request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows
from recloop.data.live_items import LiveItem, to_frame
from recloop.recommender.items.inverted_index import ItemFacets, parse_attributes
from recloop.recommender.items.item_attributes import ItemAttributes, Mask
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates

_ALWAYS = np.datetime64("0001-01-01", "us")
_NEVER = np.datetime64("9999-12-31", "us")

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class ItemAvailability:
    """Availability and attributes of the items; arrays have shape `(items,)`.

    Attributes:
        attributes: Categories and attributes.
        available: Whether the item is available at all, bool.
        published: Time from which on it is available, UTC, datetime64[us].
        expires: Time from which on it is not available any more, UTC, datetime64[us].
        deleted: Whether the item was deleted, bool.
    """

    attributes: ItemAttributes
    available: NDArray[np.bool_]
    published: NDArray[np.datetime64]
    expires: NDArray[np.datetime64]
    deleted: NDArray[np.bool_]

    @classmethod
    def from_table(cls, items: pl.DataFrame) -> "ItemAvailability":
        """Return the availability of a table of items (`columns.ITEMS`), without deleted items."""
        return cls(
            ItemAttributes.from_table(items),
            items[c.AVAILABLE].to_numpy(),
            _moments(items, c.PUBLISHED, _ALWAYS),
            _moments(items, c.EXPIRES, _NEVER),
            np.zeros(len(items), np.bool_),
        )

    def unavailable(self, time: datetime | None, candidates: Candidates = ALL_ITEMS) -> Mask:
        """Return a mask of the candidates that are unavailable, shape `(candidates,)`.

        Deleted items always are; the flag and the dates are only checked if there is a `time`.
        """
        rows = candidates.rows
        unavailable = self.deleted[rows].copy()
        if time is not None:
            moment = to_utc(time)
            in_time = (self.published[rows] <= moment) & (moment < self.expires[rows])
            unavailable |= ~(self.available[rows] & in_time)
        return unavailable

    @property
    def has_publication_date(self) -> Mask:
        """Return a mask of the items whose date of publication is known, shape `(items,)`."""
        dated: Mask = self.published != _ALWAYS
        return dated

    def updated(self, rows: Rows, items: Sequence[LiveItem]) -> "ItemAvailability":
        """Return a copy with other values in these rows; new rows follow the last one.

        Args:
            rows: Rows of the items, shape `(items,)`.
            items: The items, in the same order.
        """
        new = ItemAvailability.from_table(to_frame(items))
        size = max([len(self.deleted), *(rows + 1)])
        facets = {
            int(row): ItemFacets(item.categories, parse_attributes(item.attributes))
            for row, item in zip(rows, items, strict=True)
        }
        return ItemAvailability(
            self.attributes.updated(facets, size),
            _put(self.available, size, rows, new.available),
            _put(self.published, size, rows, new.published),
            _put(self.expires, size, rows, new.expires),
            _put(self.deleted, size, rows, np.array([item.deleted for item in items], np.bool_)),
        )


def to_utc(moment: datetime) -> np.datetime64:
    """Return a moment as UTC datetime64[us], as the dates of items are stored."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _put(values: NDArray[Kind], size: int, rows: Rows, new: NDArray[Kind]) -> NDArray[Kind]:
    """Return a copy of shape `(size,)` with new values in these rows."""
    copied = np.concatenate([values, np.zeros(size - len(values), values.dtype)])
    copied[rows] = new
    return copied


def _moments(items: pl.DataFrame, column: str, otherwise: np.datetime64) -> NDArray[np.datetime64]:
    """Return a time column in UTC, shape `(items,)`, with a default where there is no time."""
    times = items[column].dt.replace_time_zone(None).to_numpy()
    return np.where(np.isnat(times), otherwise, times)
