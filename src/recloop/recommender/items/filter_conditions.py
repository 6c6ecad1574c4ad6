"""Filter conditions of a request on attributes, dates and ids of items."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from recloop.data.catalogue import Catalogue
from recloop.recommender.items.availability import ItemAvailability, to_utc
from recloop.recommender.items.inverted_index import Bounds, Value
from recloop.recommender.items.item_attributes import Mask

DateBounds = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class FilterConditions:
    """Conditions, all of which an item must meet.

    Attributes:
        attributes: For each attribute, the values of which the item must have one. An attribute may
            be a list, of which one element must match.
        ranges: For each attribute, the bounds between which a number must lie, both included.
        published: Bounds of the date of publication; items without a date do not match.
        only: Ids of the only items that match. None: all.
    """

    attributes: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    published: DateBounds = (None, None)
    only: frozenset[str] | None = None

    @cached_property
    def is_empty(self) -> bool:
        """Return whether there is no condition, so that every item matches."""
        return self == NO_CONDITIONS

    def mask(self, catalogue: Catalogue, availability: ItemAvailability) -> Mask:
        """Return a mask of the items that meet every condition, shape `(items,)`."""
        matching = np.ones(len(catalogue), np.bool_)
        for one in self._masks(catalogue, availability):
            matching &= one
        return matching

    def _masks(self, catalogue: Catalogue, availability: ItemAvailability) -> Iterator[Mask]:
        for name, values in self.attributes.items():
            yield availability.attributes.with_value(name, values)
        for name, bounds in self.ranges.items():
            yield availability.attributes.with_number_between(name, bounds)
        first, last = self.published
        if first is not None or last is not None:
            yield availability.has_publication_date
        if first is not None:
            yield availability.published >= to_utc(first)
        if last is not None:
            yield availability.published <= to_utc(last)
        if self.only is not None:
            listed = np.zeros(len(catalogue), np.bool_)
            listed[catalogue.rows(self.only)] = True
            yield listed


NO_CONDITIONS = FilterConditions()
