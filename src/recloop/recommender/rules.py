"""Business rules: what is lifted in a list, and how much of a category it may or must have.

They order and choose among what the final filter lets through, and never add to it.
"""

import math
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from recloop.config import Settings
from recloop.data.catalogue import Catalogue
from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import Scores
from recloop.recommender.facts import Mask
from recloop.recommender.offer import Offer
from recloop.recommender.postings import Value

Name = Annotated[str, Field(min_length=1, max_length=256)]


class Boost(Settings):
    """Lifts the items of a category, with a value of an attribute, or one item.

    `add` is added to the score, whose unit is that of the blend: standard deviations of the catalogue.
    `factor` adds its natural logarithm, so that 2 moves an item up and ½ as far down whatever the sign
    of its score, and under a softmax policy of temperature 1 an item is twice as likely. Boosts that
    meet in an item add up.
    """

    category: Name | None = None
    attribute: Name | None = None
    value: Annotated[str, Field(max_length=1_000)] | bool | float | None = None
    item_id: Name | None = None
    factor: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None
    add: Annotated[float, Field(ge=-1_000, le=1_000)] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if sum(name is not None for name in (self.category, self.attribute, self.item_id)) != 1:
            raise ValueError("needs exactly one of category, attribute and item_id")
        if (self.attribute is None) != (self.value is None):
            raise ValueError("attribute and value belong together")
        if (self.factor is None) == (self.add is None):
            raise ValueError("needs either factor or add")
        return self

    @property
    def lift(self) -> float:
        """What it adds to a score."""
        return math.log(self.factor) if self.factor is not None else self.add or 0.0

    def meant(self, catalogue: Catalogue, offer: Offer) -> Mask:
        """`(items,)`: whom it lifts."""
        if self.category is not None:
            return offer.facts.in_categories([self.category])
        if self.attribute is not None:
            values: list[Value] = [] if self.value is None else [self.value]
            return offer.facts.having(self.attribute, values)
        mask = np.zeros(len(catalogue), np.bool_)
        mask[catalogue.rows([self.item_id or ""])] = True
        return mask


class Quota(Settings):
    """How many items of a category a list has: never more than `at_most`, and `at_least` so many.

    Where the allowed items cannot give both, `at_most` holds.
    """

    category: Name
    at_least: Annotated[int, Field(ge=0, le=100)] = 0
    at_most: Annotated[int, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least must not be more than at_most")
        return self

    def most(self, k: int) -> int:
        """At most so many of k."""
        return k if self.at_most is None else min(k, self.at_most)


class Rules(Settings):
    """Boosts and quotas; all of them hold."""

    boosts: Annotated[tuple[Boost, ...], Field(max_length=100)] = ()
    quotas: Annotated[tuple[Quota, ...], Field(max_length=100)] = ()

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return not (self.boosts or self.quotas)

    def named(self, catalogue: Catalogue, offer: Offer) -> list[Mask]:
        """`(items,)` each: whom a boost or a quota is about."""
        members = [offer.facts.in_categories([quota.category]) for quota in self.quotas]
        return [*members, *(boost.meant(catalogue, offer) for boost in self.boosts)]

    def lifts(self, catalogue: Catalogue, offer: Offer, scope: Scope = EVERYTHING) -> Scores:
        """`(items in scope,)`: what the boosts add to each score."""
        lifts = np.zeros(len(catalogue), np.float32)
        for boost in self.boosts:
            lifts[boost.meant(catalogue, offer)] += np.float32(boost.lift)
        return lifts[scope.rows]


class Limits:
    """Quotas while a list of k grows; `members` `(quotas, candidates)` says who belongs to which."""

    def __init__(self, quotas: tuple[Quota, ...], members: Mask, k: int) -> None:
        self._members = members
        self._least = np.array([quota.at_least for quota in quotas], np.int64)
        self._most = np.array([quota.most(k) for quota in quotas], np.int64)
        self._k = k

    def eligible(self, free: Mask, taken: NDArray[np.int64]) -> Mask:
        """`(candidates,)`: which of the free ones may come next, after the places `taken`.

        Once the places that are left are needed for what must still come, only that may.
        """
        counts = self._members[:, taken].sum(1)
        possible: Mask = free & ~self._members[counts >= self._most].any(0)
        there = (self._members & possible).sum(1)
        missing = np.clip(self._least - counts, 0, there)
        if not missing.any() or missing.sum() < self._k - len(taken):
            return possible
        needed: Mask = possible & self._members[missing > 0].any(0)
        return needed
