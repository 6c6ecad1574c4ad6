"""What somebody asks for: conditions on what is said of items, on their dates and on their ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from recloop.data.catalogue import Catalogue
from recloop.recommender.facts import Mask
from recloop.recommender.offer import Offer, utc
from recloop.recommender.postings import Bounds, Value

Dates = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Where:
    """Conditions that an item must meet, all of them.

    `attributes`: one of these values (an attribute that is a list: one of its elements is one of them).
    `ranges`: a number within bounds. `published`: a date of publication within bounds; an item without
    one is not. `only`: one of these ids.
    """

    attributes: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    published: Dates = (None, None)
    only: frozenset[str] | None = None

    @cached_property
    def nothing(self) -> bool:
        """Whether every item meets it."""
        return self == EVERYTHING

    def met(self, catalogue: Catalogue, offer: Offer) -> Mask:
        """`(items,)`: which items meet every condition."""
        met = np.ones(len(catalogue), np.bool_)
        for one in self._each(catalogue, offer):
            met &= one
        return met

    def _each(self, catalogue: Catalogue, offer: Offer) -> Iterator[Mask]:
        for name, values in self.attributes.items():
            yield offer.facts.having(name, values)
        for name, bounds in self.ranges.items():
            yield offer.facts.within(name, bounds)
        first, last = self.published
        if first is not None or last is not None:
            yield offer.dated
        if first is not None:
            yield offer.since >= utc(first)
        if last is not None:
            yield offer.since <= utc(last)
        if self.only is not None:
            listed = np.zeros(len(catalogue), np.bool_)
            listed[catalogue.rows(self.only)] = True
            yield listed


EVERYTHING = Where()
