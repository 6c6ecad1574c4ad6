"""Categories and attributes of items: the packaged ones, and updates since."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows
from recloop.recommender.items.inverted_index import (
    Bounds,
    FacetIndex,
    InvertedIndex,
    ItemFacets,
    Value,
    parse_attributes,
)
from recloop.scoring.layered_updates import push_layer

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class AttributeUpdates:
    """New categories and attributes of some items, by row."""

    facets: Mapping[int, ItemFacets]

    def __len__(self) -> int:
        return len(self.facets)

    def merged_with(self, later: "AttributeUpdates") -> "AttributeUpdates":
        """Return both updates; for a row in both, the later one."""
        return AttributeUpdates({**self.facets, **later.facets})

    @cached_property
    def rows(self) -> Rows:
        """Return the updated rows, shape `(updates,)`."""
        return np.fromiter(self.facets, np.int64, len(self.facets))

    @cached_property
    def index(self) -> FacetIndex:
        """Return the index of the updates."""
        pairs = [(row, own) for row, facts in self.facets.items() for own in facts.categories]
        rows = np.array([row for row, _ in pairs], np.int64)
        return FacetIndex.from_facets(
            InvertedIndex.from_pairs([own for _, own in pairs], rows), self.facets.items()
        )


@dataclass(frozen=True)
class ItemAttributes:
    """Categories and attributes of `size` items.

    Attributes:
        size: Number of items.
        packaged_categories: Categories of each packaged item, a list per row.
        packaged_index: Index of the packaged items.
        updates: Layers of updates, oldest first; later layers replace earlier ones.
    """

    size: int
    packaged_categories: pl.Series
    packaged_index: FacetIndex
    updates: Sequence[AttributeUpdates] = ()

    @classmethod
    def from_table(cls, items: pl.DataFrame) -> "ItemAttributes":
        """Return the attributes of a table of items (`columns.ITEMS`)."""
        listed = items[c.CATEGORIES]
        exploded = pl.DataFrame({c.CATEGORIES: listed}).with_row_index(c.ROW).explode(c.CATEGORIES)
        pairs = exploded.drop_nulls(c.CATEGORIES)
        postings = InvertedIndex.from_pairs(
            pairs[c.CATEGORIES].to_list(), pairs[c.ROW].to_numpy().astype(np.int64)
        )
        attributes = enumerate(items[c.ATTRIBUTES].to_list())
        read = (
            (row, ItemFacets((), parse_attributes(text)))
            for row, text in attributes
            if text is not None
        )
        return cls(len(items), listed, FacetIndex.from_facets(postings, read))

    def updated(self, facets: Mapping[int, ItemFacets], size: int) -> "ItemAttributes":
        """Return a copy with other facets in these rows, of `size` items."""
        layers = push_layer(self.updates, AttributeUpdates(facets))
        layers[-1].index  # noqa: B018 - computed here, so that no request waits for it
        return ItemAttributes(size, self.packaged_categories, self.packaged_index, layers)

    def categories(self, row: int) -> Sequence[str]:
        """Return the categories of one item."""
        for layer in reversed(self.updates):
            if row in layer.facets:
                return layer.facets[row].categories
        own: Sequence[str] = self.packaged_categories[row].to_list()
        return own

    def mask(self, find: Callable[[FacetIndex], Rows]) -> Mask:
        """Return a mask of the rows that `find` returns from the indexes, shape `(items,)`."""
        found = np.zeros(self.size, np.bool_)
        found[find(self.packaged_index)] = True
        for layer in self.updates:
            found[layer.rows] = False
            found[find(layer.index)] = True
        return found

    def in_categories(self, categories: Iterable[str]) -> Mask:
        """Return a mask of the items in at least one of the categories, shape `(items,)`."""
        wanted = list(categories)
        return self.mask(lambda index: index.categories.rows_with_any(wanted))

    def with_value(self, name: str, values: Sequence[Value]) -> Mask:
        """Return a mask of the items whose attribute has one of the values, shape `(items,)`."""
        return self.mask(lambda index: index.rows_with_value(name, values))

    def with_number_between(self, name: str, bounds: Bounds) -> Mask:
        """Return a mask of the items whose attribute is within bounds, shape `(items,)`."""
        return self.mask(lambda index: index.rows_with_number_between(name, bounds))
