"""Catalogue: maps item ids to row numbers. All arrays of a model have their items in this order."""

from collections.abc import Iterable
from copy import copy

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c

Rows = NDArray[np.int64]


class Catalogue:
    """Items of one snapshot, in a fixed order.

    Args:
        items: Items as the contract has them (`recloop.data.frame_schemas.ITEMS`), one a row.

    >>> columns = {"item_id": ["a", "b"], "title": ["Alien", "Babe"], "text": [None, "Pig"]}
    >>> items = pl.DataFrame(columns)
    >>> catalogue = Catalogue(items)
    >>> catalogue.rows(["b", "unknown", "a"]).tolist()
    [1, 0]
    >>> catalogue.texts()
    ['Alien', 'Babe. Pig']
    """

    def __init__(self, items: pl.DataFrame) -> None:
        self.items = items
        self.ids: list[str] = items[c.ITEM].to_list()
        self._row = {item: row for row, item in enumerate(self.ids)}
        self._added: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item: str) -> bool:
        return item in self._row or item in self._added

    def rows(self, ids: Iterable[str]) -> Rows:
        """Return the row numbers of ids, in the order given, `(ids,)`; unknown ids are left out."""
        added = self._added
        found = (self._row.get(item, added.get(item) if added else None) for item in ids)
        return np.array([row for row in found if row is not None], np.int64)

    def texts(self) -> list[str]:
        """Return the text of each item that the language model encodes (see `item_texts`)."""
        return item_texts(self.items)

    def extended_with(self, more: pl.DataFrame) -> "Catalogue":
        """Return a catalogue with the same items in the same rows, followed by further items.

        Args:
            more: Further items, with the columns of `items`.
        """
        extended, new = copy(self), more[c.ITEM].to_list()
        extended.items, extended.ids = pl.concat([self.items, more]), self.ids + new
        # The dictionary of the first items is shared: with a million items, copying it takes long.
        added = {item: row for row, item in enumerate(new, len(self))}
        extended._added = self._added | added  # noqa: SLF001 - the same class
        return extended


def item_texts(items: pl.DataFrame) -> list[str]:
    """Return title and text of each item, joined by a full stop; the title alone without a text.

    Args:
        items: Items, with the columns title and text.
    """
    text = pl.concat_str([c.TITLE, c.TEXT], separator=". ", ignore_nulls=True)
    return items.select(text).to_series().to_list()


def item_passages(items: pl.DataFrame) -> list[str]:
    """Return the text of each item for search: title and text, or categories if it has no text.

    A title in capitals is lower-cased but for its first letter, since a cased encoder reads words
    in capitals as other words.

    Args:
        items: Items, with the columns title, text and categories.
    """
    title = pl.col(c.TITLE)
    cased = pl.when(title == title.str.to_uppercase()).then(_capitalised(title)).otherwise(title)
    categories = pl.col(c.CATEGORIES).list.join(", ")
    text = pl.coalesce(c.TEXT, pl.when(categories != "").then(categories))
    parts = pl.concat_str([cased, text], separator=". ", ignore_nulls=True)
    return items.select(parts).to_series().to_list()


def _capitalised(title: pl.Expr) -> pl.Expr:
    return title.str.slice(0, 1) + title.str.slice(1).str.to_lowercase()


def interaction_counts(interactions: pl.DataFrame, catalogue: Catalogue) -> NDArray[np.float32]:
    """Return the number of users with a positive event on each item, `(items,)`, float32."""
    positive = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    items = positive.unique([c.USER, c.ITEM])[c.ITEM].to_list()
    return np.bincount(catalogue.rows(items), minlength=len(catalogue)).astype(np.float32)
