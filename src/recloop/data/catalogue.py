"""Items as rows: ids to row numbers and back. Every array of the models is in this order."""

from collections.abc import Iterable
from copy import copy

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c

Rows = NDArray[np.int64]


class Catalogue:
    """The items of one snapshot, in a fixed order."""

    def __init__(self, items: pl.DataFrame) -> None:
        self.items = items
        self.ids: list[str] = items[c.ITEM].to_list()
        self._row = {item: row for row, item in enumerate(self.ids)}
        self._later: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item: str) -> bool:
        return item in self._row or item in self._later

    def rows(self, ids: Iterable[str]) -> Rows:
        """Row numbers of the ids that exist, in the order given; others are left out."""
        later = self._later
        known = (self._row.get(item, later.get(item) if later else None) for item in ids)
        return np.array([row for row in known if row is not None], np.int64)

    def texts(self) -> list[str]:
        """What the language model reads: title, then text."""
        return texts(self.items)

    def grown(self, more: pl.DataFrame) -> "Catalogue":
        """The same items in the same rows, and `more` after them."""
        grown, new = copy(self), more[c.ITEM].to_list()
        grown.items, grown.ids = pl.concat([self.items, more]), self.ids + new
        # The packaged ids are not read again.
        later = {item: row for row, item in enumerate(new, len(self))}
        grown._later = self._later | later  # noqa: SLF001 - its own
        return grown


def texts(items: pl.DataFrame) -> list[str]:
    """Title, then text, of each item."""
    text = pl.concat_str([c.TITLE, c.TEXT], separator=". ", ignore_nulls=True)
    return items.select(text).to_series().to_list()


def passages(items: pl.DataFrame) -> list[str]:
    """What is searched: title, text, and the categories where there is no text.

    A title in capitals is read as a sentence: to an encoder that knows case, capitals are other words.
    """
    title = pl.col(c.TITLE)
    calm = pl.when(title == title.str.to_uppercase()).then(_sentence(title)).otherwise(title)
    categories = pl.col(c.CATEGORIES).list.join(", ")
    text = pl.coalesce(c.TEXT, pl.when(categories != "").then(categories))
    parts = pl.concat_str([calm, text], separator=". ", ignore_nulls=True)
    return items.select(parts).to_series().to_list()


def _sentence(title: pl.Expr) -> pl.Expr:
    return title.str.slice(0, 1) + title.str.slice(1).str.to_lowercase()


def counts(interactions: pl.DataFrame, catalogue: Catalogue) -> NDArray[np.float32]:
    """`(items,)`: how many users met each item with a positive event."""
    positive = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    met = positive.unique([c.USER, c.ITEM])[c.ITEM].to_list()
    return np.bincount(catalogue.rows(met), minlength=len(catalogue)).astype(np.float32)
