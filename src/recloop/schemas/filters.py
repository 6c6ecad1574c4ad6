"""Filters of a recommendation request."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from recloop.schemas.base import Id, StrictModel, Time, WholeNumber

AttributeValue = Annotated[str, StringConstraints(max_length=1_000)] | bool | WholeNumber | float


class Range(StrictModel):
    """Numbers from `min` to `max`, both included; at least one bound is given."""

    min: float | None = None
    """Smallest number. Null: no lower bound."""
    max: float | None = None
    """Largest number. Null: no upper bound."""

    @model_validator(mode="after")
    def _has_valid_bounds(self) -> Self:
        _check_bounds(self.min, self.max)
        return self


class DateRange(StrictModel):
    """Times from `min` to `max`, both included; at least one bound is given."""

    min: Time | None = None
    """Earliest time. Null: no lower bound."""
    max: Time | None = None
    """Latest time. Null: no upper bound."""

    @model_validator(mode="after")
    def _has_valid_bounds(self) -> Self:
        _check_bounds(self.min, self.max)
        return self


class Filters(StrictModel):
    """Conditions that every item of the list must meet."""

    categories: Annotated[list[Id], Field(max_length=100)] = []
    """The item has at least one of these categories. Empty: all items."""
    attributes: Annotated[
        dict[
            Id,
            AttributeValue | Annotated[list[AttributeValue], Field(min_length=1, max_length=1_000)],
        ],
        Field(max_length=20),
    ] = {}
    """Each attribute has this value, or one of these values."""
    ranges: Annotated[dict[Id, Range], Field(max_length=20)] = {}
    """Each attribute is a number within these bounds."""
    published_at: DateRange | None = None
    """The publication time lies within these bounds; items without one are excluded."""
    only: Annotated[list[Id], Field(max_length=10_000)] | None = None
    """The item is one of these. Null: all items."""
    deny: Annotated[list[Id], Field(max_length=10_000)] = []
    """The item is none of these."""


def _check_bounds(least: float | datetime | None, most: float | datetime | None) -> None:
    if least is None and most is None:
        raise ValueError("needs min or max")
    if least is not None and most is not None and least > most:  # type: ignore[operator]
        raise ValueError("min must not be more than max")
