"""Boosts and quotas, in a request or in the site's rules."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from recloop.schemas.base import Schema

Name = Annotated[str, Field(min_length=1, max_length=256)]


class Boost(Schema, extra="forbid", allow_inf_nan=False):
    """Change of the score of the items of a category, with an attribute value, or of one item.

    Exactly one of `category`, `attribute` (with `value`) and `item_id` is given, and either `add`
    or `factor`. The boosts of an item add up.
    """

    category: Name | None = None
    """Category whose items are boosted."""
    attribute: Name | None = None
    """Attribute whose items with this `value` are boosted."""
    value: Annotated[str, Field(max_length=1_000)] | bool | float | None = None
    """Value of `attribute`."""
    item_id: Name | None = None
    """Item that is boosted."""
    factor: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None
    """Factor whose natural logarithm is added to the score, so that 2 moves an item up as far as
    0.5 moves it down, whatever the sign of its score. Under a softmax policy of temperature 1, an
    item with factor 2 is twice as likely."""
    add: Annotated[float, Field(ge=-1_000, le=1_000)] | None = None
    """Number that is added to the score; 1 is a standard deviation over the catalogue."""

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        if sum(name is not None for name in (self.category, self.attribute, self.item_id)) != 1:
            raise ValueError("needs exactly one of category, attribute and item_id")
        if (self.attribute is None) != (self.value is None):
            raise ValueError("attribute and value belong together")
        if (self.factor is None) == (self.add is None):
            raise ValueError("needs either factor or add")
        return self

    @property
    def score_delta(self) -> float:
        """Return the number that is added to the score of each matching item."""
        return math.log(self.factor) if self.factor is not None else self.add or 0.0


class Quota(Schema, extra="forbid"):
    """Bounds of the number of items of a category in a list.

    If the eligible items cannot satisfy both bounds, `at_most` holds.
    """

    category: Name
    """Category that the bounds apply to."""
    at_least: Annotated[int, Field(ge=0, le=100)] = 0
    """Smallest number of items of the category."""
    at_most: Annotated[int, Field(ge=0, le=100)] | None = None
    """Largest number of items of the category. Null: no upper bound."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least must not be more than at_most")
        return self

    def max_of(self, k: int) -> int:
        """Return the largest number of items of the category in a list of `k`."""
        return k if self.at_most is None else min(k, self.at_most)
