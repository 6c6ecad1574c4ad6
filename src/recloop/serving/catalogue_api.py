"""What goes over HTTP about the catalogue: items as they are told, and lists that are made for nobody."""

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, field_validator

from recloop.data.live import LiveItem
from recloop.serving.wishes import WITHOUT_NUL, Id, Strict

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_STRIPPED = "must neither begin nor end with a space"

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000, pattern=WITHOUT_NUL),
]
Text = Annotated[str, StringConstraints(max_length=50_000, pattern=WITHOUT_NUL)]
Number = Annotated[int, Field(ge=-(2**53), le=2**53)] | float
Value = Annotated[str, StringConstraints(max_length=1_000)] | bool | Number | None


class ItemIn(Strict):
    """An item as it is from now on: what is not given is empty, whatever was known of it before.

    It is on offer from `published_at` until `expires_at`, while `available`.
    """

    item_id: Id
    title: Title
    text: Text | None = None
    categories: Annotated[list[Id], Field(max_length=100)] = []
    attributes: Annotated[dict[Id, Value], Field(max_length=100)] | None = None
    published_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    available: bool = True

    @field_validator("item_id")
    @classmethod
    def _whole(cls, item_id: str) -> str:
        if item_id != item_id.strip():
            raise ValueError(_STRIPPED)
        return item_id

    @field_validator("published_at", "expires_at")
    @classmethod
    def _sane(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and not _FIRST <= moment <= _LAST:
            raise ValueError("must lie within the years 1 to 9999, in UTC")
        return moment

    def live(self) -> LiveItem:
        """As it is kept, in the form that a source's items have."""
        text = (self.text or "").strip() or None
        told = self.attributes
        categories = [name.strip() for name in self.categories]
        return LiveItem(
            item_id=self.item_id,
            title=self.title,
            text=text,
            categories=tuple(name for name in categories if name),
            attributes=None if told is None else json.dumps(told, ensure_ascii=False),
            published_at=self.published_at,
            expires_at=self.expires_at,
            available=self.available,
        )


class ItemsRequest(Strict):
    """A batch, stored as a whole or not at all; of equal ids the last counts."""

    items: Annotated[list[ItemIn], Field(min_length=1, max_length=1_000)]


class ItemsResponse(BaseModel):
    """How many items were stored."""

    accepted: int


class DeletedResponse(BaseModel):
    """The item that is gone until it is upserted again."""

    item_id: str


class Listing(Strict):
    """How long a list may be, and what belongs into it.

    `category`: one of these at least; `user_id`: whose seen items are left out.
    """

    k: Annotated[int, Field(ge=1, le=100)] = 10
    category: Annotated[list[Id], Field(max_length=100)] = []
    exclude: Annotated[list[Id], Field(max_length=1_000)] = []
    user_id: Id | None = None


class ListedItem(BaseModel):
    """An item of a list that is not made for one person."""

    item_id: str
    score: float
    position: int


class SimilarResponse(BaseModel):
    """Items like one item, best first."""

    model_version: str
    items: list[ListedItem]


class PopularResponse(BaseModel):
    """What most people met, and what they met lately; as of the model's training."""

    model_version: str
    popular: list[ListedItem]
    trending: list[ListedItem]
