"""What is on offer: the rules of the catalogue that hold for everybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows
from recloop.data.live import LiveItem, frame
from recloop.models.scope import EVERYTHING, Scope
from recloop.recommender.facts import Known, Mask
from recloop.recommender.postings import Facts, readable

_ALWAYS = np.datetime64("0001-01-01", "us")
_NEVER = np.datetime64("9999-12-31", "us")

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class Offer:
    """Rules of each item, all `(items,)`: on offer from `since` until `until`, in UTC, while `available`.

    `gone` is deleted. `facts` are what else is said of the items.
    """

    facts: Known
    available: NDArray[np.bool_]
    since: NDArray[np.datetime64]
    until: NDArray[np.datetime64]
    gone: NDArray[np.bool_]

    @classmethod
    def of(cls, items: pl.DataFrame) -> "Offer":
        """Of items in the contract's form, none of which is gone."""
        return cls(
            Known.of(items),
            items[c.AVAILABLE].to_numpy(),
            _moments(items, c.PUBLISHED, _ALWAYS),
            _moments(items, c.EXPIRES, _NEVER),
            np.zeros(len(items), np.bool_),
        )

    def refused(self, at: datetime | None, scope: Scope = EVERYTHING) -> Mask:
        """`(items in scope,)`: what is not to be had; availability and dates count only with `at`."""
        rows = scope.rows
        wrong = self.gone[rows].copy()
        if at is not None:
            moment = utc(at)
            open_then = (self.since[rows] <= moment) & (moment < self.until[rows])
            wrong |= ~(self.available[rows] & open_then)
        return wrong

    @property
    def dated(self) -> Mask:
        """`(items,)`: whether a date of publication is known."""
        dated: Mask = self.since != _ALWAYS
        return dated

    def changed(self, rows: Rows, items: Sequence[LiveItem]) -> "Offer":
        """The same, but for these items in these rows; new ones have the rows that follow the last."""
        told = Offer.of(frame(items))
        size = max([len(self.gone), *(rows + 1)])
        said = {
            int(row): Facts(item.categories, readable(item.attributes))
            for row, item in zip(rows, items, strict=True)
        }
        return Offer(
            self.facts.changed(said, size),
            _put(self.available, size, rows, told.available),
            _put(self.since, size, rows, told.since),
            _put(self.until, size, rows, told.until),
            _put(self.gone, size, rows, np.array([item.deleted for item in items], np.bool_)),
        )


def utc(moment: datetime) -> np.datetime64:
    """A moment as the dates of items are compared."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _put(values: NDArray[Kind], size: int, rows: Rows, anew: NDArray[Kind]) -> NDArray[Kind]:
    """A copy of this size, with `anew` in `rows`."""
    copied = np.concatenate([values, np.zeros(size - len(values), values.dtype)])
    copied[rows] = anew
    return copied


def _moments(items: pl.DataFrame, column: str, otherwise: np.datetime64) -> NDArray[np.datetime64]:
    """A time column in UTC as `(items,)`, with `otherwise` where there is none."""
    moments = items[column].dt.replace_time_zone(None).to_numpy()
    return np.where(np.isnat(moments), otherwise, moments)
