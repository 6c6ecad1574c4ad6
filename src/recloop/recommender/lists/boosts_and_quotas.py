"""Boosts and quotas: rules for the order of eligible items and for the categories of a list."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recloop.config import ConfigModel
from recloop.data.catalogue import Catalogue
from recloop.recommender.items.availability import ItemAvailability
from recloop.recommender.items.inverted_index import Value
from recloop.recommender.items.item_attributes import Mask
from recloop.schemas.rules import Boost, Quota
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.scorer import Scores


class ListRules(ConfigModel):
    """Boosts and quotas, all of which hold."""

    boosts: Annotated[tuple[Boost, ...], Field(max_length=100)] = ()
    quotas: Annotated[tuple[Quota, ...], Field(max_length=100)] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether there are neither boosts nor quotas."""
        return not (self.boosts or self.quotas)

    def affected_items(self, catalogue: Catalogue, availability: ItemAvailability) -> list[Mask]:
        """Return a mask of items for each quota and each boost, each of shape `(items,)`."""
        members = [availability.attributes.in_categories([quota.category]) for quota in self.quotas]
        return [*members, *(boosted_items(boost, catalogue, availability) for boost in self.boosts)]

    def score_deltas(
        self,
        catalogue: Catalogue,
        availability: ItemAvailability,
        candidates: Candidates = ALL_ITEMS,
    ) -> Scores:
        """Return the sum of the boosts of each candidate, shape `(candidates,)`, float32."""
        lifts = np.zeros(len(catalogue), np.float32)
        for boost in self.boosts:
            lifts[boosted_items(boost, catalogue, availability)] += np.float32(boost.score_delta)
        return lifts[candidates.rows]


def boosted_items(boost: Boost, catalogue: Catalogue, availability: ItemAvailability) -> Mask:
    """Return which items a boost changes the score of, shape `(items,)`, bool."""
    if boost.category is not None:
        return availability.attributes.in_categories([boost.category])
    if boost.attribute is not None:
        values: list[Value] = [] if boost.value is None else [boost.value]
        return availability.attributes.with_value(boost.attribute, values)
    mask = np.zeros(len(catalogue), np.bool_)
    mask[catalogue.rows([boost.item_id or ""])] = True
    return mask


class QuotaTracker:
    """Tracks quotas while a list of k items grows.

    Args:
        quotas: The quotas.
        members: Whether each candidate belongs to the quota's category, `(quotas, candidates)`.
        k: Length of the list.
    """

    def __init__(self, quotas: tuple[Quota, ...], members: Mask, k: int) -> None:
        self._members = members
        self._least = np.array([quota.at_least for quota in quotas], np.int64)
        self._most = np.array([quota.max_of(k) for quota in quotas], np.int64)
        self._k = k

    def eligible(self, free: Mask, taken: NDArray[np.int64]) -> Mask:
        """Return a mask of the free candidates that may come next, shape `(candidates,)`.

        If every remaining position is needed for a lower bound, only candidates that count towards
        one may come next.

        Args:
            free: Candidates that are not chosen yet, shape `(candidates,)`.
            taken: Positions of the chosen candidates.
        """
        counts = self._members[:, taken].sum(1)
        possible: Mask = free & ~self._members[counts >= self._most].any(0)
        there = (self._members & possible).sum(1)
        missing = np.clip(self._least - counts, 0, there)
        if not missing.any() or missing.sum() < self._k - len(taken):
            return possible
        needed: Mask = possible & self._members[missing > 0].any(0)
        return needed
