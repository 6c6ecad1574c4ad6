"""Eligibility filter: the items that a list must not contain. Every list passes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce

import numpy as np

from recloop.data.catalogue import Catalogue, Rows
from recloop.recommender.items.availability import ItemAvailability
from recloop.recommender.items.filter_conditions import FilterConditions
from recloop.recommender.items.item_attributes import Mask
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates


@dataclass(frozen=True)
class EligibilityFilter:
    """Eligibility filter of one request.

    Attributes:
        catalogue: Items and their rows.
        availability: Availability and attributes of the items.
        exclude: Ids that the request excludes.
        seen: Rows of the items that the user has seen, or has hidden if repeats are allowed.
        time: Time of the request. None: flags and dates of availability are not checked.
        categories: If not empty, only items of at least one of these categories match.
        conditions: Further conditions that items must meet.
    """

    catalogue: Catalogue
    availability: ItemAvailability
    exclude: Iterable[str]
    seen: Rows
    time: datetime | None
    categories: frozenset[str]
    conditions: FilterConditions

    @cached_property
    def matches(self) -> Mask | None:
        """Return a mask of the items that match the categories and conditions, shape `(items,)`.

        None if the request has neither.
        """
        masks = (
            []
            if self.conditions.is_empty
            else [self.conditions.mask(self.catalogue, self.availability)]
        )
        if self.categories:
            masks.append(self.availability.attributes.in_categories(self.categories))
        return reduce(np.logical_and, masks) if masks else None

    @cached_property
    def matching_rows(self) -> Rows | None:
        """Return the rows of the items that match, ascending, shape `(matching items,)`.

        None if the request has no filter.
        """
        return None if self.matches is None else np.flatnonzero(self.matches)

    def ineligible_positions(self, candidates: Candidates) -> Rows:
        """Return positions of the candidates that must not be in the list, shape `(positions,)`.

        A position may occur repeatedly.
        """
        barred = np.concatenate([self.catalogue.rows(self.exclude), self.seen])
        positions = candidates.positions(barred)
        ineligible = self.availability.unavailable(self.time, candidates)
        if self.matches is not None:
            ineligible |= ~self.matches[candidates.rows]
        return np.concatenate([positions[positions >= 0], np.flatnonzero(ineligible)])

    def eligible_rows(self) -> Rows:
        """Return the rows of all items that may be in the list, ascending, shape `(items,)`."""
        eligible = np.ones(len(self.catalogue), np.bool_)
        eligible[self.ineligible_positions(ALL_ITEMS)] = False
        return np.flatnonzero(eligible)
