"""Requests and responses of the catalogue: items, similar items and popular items."""

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from recloop.schemas.base import WITHOUT_NUL, Id, Schema, StrictModel, Time, WholeNumber

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000, pattern=WITHOUT_NUL),
]
Text = Annotated[str, StringConstraints(max_length=50_000, pattern=WITHOUT_NUL)]
Value = Annotated[str, StringConstraints(max_length=1_000)] | bool | WholeNumber | float | None


class ItemIn(StrictModel):
    """A new item, or the new version of an item, which replaces the old version as a whole.

    The item is recommended from `published_at` until `expires_at`, while it is `available`.
    """

    item_id: Annotated[Id, Field(examples=["m1"])]
    """Id of the item, without spaces at the beginning or end."""
    title: Annotated[Title, Field(examples=["The Hidden Garden"])]
    """Title, which is searched and shown."""
    text: Text | None = None
    """Description or full text, which is searched and used to find similar items."""
    categories: Annotated[list[Id], Field(max_length=100, examples=[["drama"]])] = []
    """Categories of the item."""
    attributes: (
        Annotated[dict[Id, Value], Field(max_length=100, examples=[{"year": 1996}])] | None
    ) = None
    """Attributes that requests can filter by, and boosts can refer to."""
    published_at: Time | None = None
    """Time from which the item is recommended. Null: it is recommended at once."""
    expires_at: Time | None = None
    """Time from which the item is no longer recommended. Null: it does not expire."""
    available: bool = True
    """Whether the item may be recommended at all."""

    @field_validator("item_id")
    @classmethod
    def _has_no_outer_spaces(cls, item_id: str) -> str:
        if item_id != item_id.strip():
            raise ValueError("must neither begin nor end with a space")
        return item_id


class ItemsRequest(StrictModel):
    """A batch of items, stored as a whole or not at all; of equal ids the last one counts."""

    items: Annotated[list[ItemIn], Field(min_length=1, max_length=1_000)]
    """New items and new versions of items."""


class ItemsResponse(Schema):
    """The number of items that were stored."""

    accepted: int
    """Number of different items in the batch."""


class DeletedResponse(Schema):
    """The item that was deleted. It stays deleted until it is sent again."""

    item_id: str
    """Id of the deleted item."""


class Listing(StrictModel):
    """Options of a list of similar or popular items.

    Items have at least one `category` of those given. Items that `user_id` has seen are excluded.
    """

    k: Annotated[int, Field(ge=1, le=100)] = 10
    """Largest number of items to return."""
    category: Annotated[list[Id], Field(max_length=100)] = []
    """Items have at least one of these categories. Empty: all items."""
    exclude: Annotated[list[Id], Field(max_length=1_000)] = []
    """Ids of items to leave out."""
    user_id: Id | None = None
    """User whose seen and hidden items are left out."""


class ListedItem(Schema):
    """An item of a list of similar or popular items."""

    item_id: str
    """Id of the item."""
    score: float
    """Score, by which the list is ordered. Scores of different lists are not comparable."""
    position: int
    """Position in the list, from 1."""


class SimilarResponse(Schema):
    """Items that are similar to an item, the most similar first."""

    model_version: str
    """Version of the model that produced the list."""
    items: list[ListedItem]
    """Similar items, the most similar first."""


class PopularResponse(Schema):
    """Items with the most interactions, overall and recently, as of the model's training."""

    model_version: str
    """Version of the model that produced the lists."""
    popular: list[ListedItem]
    """Items with the most interactions."""
    trending: list[ListedItem]
    """Items with the most interactions in recent time."""
