"""What goes over HTTP about the shape of a list: filters, boosts, quotas, and why items are in it."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from recloop.recommender.filters import Where

# A character that PostgreSQL cannot hold, and that nobody writes.
WITHOUT_NUL = r"^[^\x00]*$"
Id = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Word = Annotated[str, StringConstraints(max_length=1_000)]
_Number = Annotated[int, Field(ge=-(2**53), le=2**53)] | float
_Value = _Word | bool | _Number


class Strict(BaseModel):
    """Unknown fields are errors: a misspelt one must not be ignored."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Range(Strict):
    """Numbers from `min` to `max`, both among them."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        _check(self.min, self.max)
        return self


class DateRange(Strict):
    """Moments from `min` to `max`, both among them."""

    min: AwareDatetime | None = None
    max: AwareDatetime | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        _check(self.min, self.max)
        return self


class Filters(Strict):
    """Which items may be answered with; all of it must hold.

    `categories`: one of these at least. `attributes`: each has this value, or one of these.
    `ranges`: each attribute is a number within bounds. `published_at`: within bounds; items without one
    are left out. `only`: no others than these. `deny`: none of these.
    """

    categories: Annotated[list[Id], Field(max_length=100)] = []
    attributes: Annotated[
        dict[Id, _Value | Annotated[list[_Value], Field(min_length=1, max_length=1_000)]],
        Field(max_length=20),
    ] = {}
    ranges: Annotated[dict[Id, Range], Field(max_length=20)] = {}
    published_at: DateRange | None = None
    only: Annotated[list[Id], Field(max_length=10_000)] | None = None
    deny: Annotated[list[Id], Field(max_length=10_000)] = []

    def where(self) -> Where:
        """What the scoring path is told; categories and `deny` are told apart."""
        dates = self.published_at
        return Where(
            {
                name: tuple(told) if isinstance(told, list) else (told,)
                for name, told in self.attributes.items()
            },
            {name: (bounds.min, bounds.max) for name, bounds in self.ranges.items()},
            (dates.min, dates.max) if dates else (None, None),
            None if self.only is None else frozenset(self.only),
        )


class Explanation(BaseModel):
    """Why an item is in the list: a code, a sentence, and the item that it is about, if it is about one."""

    code: str
    text: str
    item_id: str | None = None


def _check(least: float | datetime | None, most: float | datetime | None) -> None:
    if least is None and most is None:
        raise ValueError("needs min or max")
    if least is not None and most is not None and least > most:  # type: ignore[operator]
        raise ValueError("min must not be more than max")
