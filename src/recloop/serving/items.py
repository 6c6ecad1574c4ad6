"""The catalogue over HTTP: upsert, delete, similar items, what is popular."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, field_validator

from recloop.data.live import LiveItem
from recloop.models.blend import trend
from recloop.recommender.recommender import RankedItem, Request
from recloop.serving.api import ErrorResponse
from recloop.serving.engine import Engine
from recloop.serving.live import Serving
from recloop.serving.metrics import metrics
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
ItemId = Annotated[Id, Path()]


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


def routes(engine: Callable[[], Engine]) -> APIRouter:
    """The routes; `engine` is asked for at every request."""
    router = APIRouter(prefix="/v1", tags=["catalogue"])
    unknown: dict[int | str, dict[str, Any]] = {404: {"model": ErrorResponse}}

    @router.post("/items")
    def upsert(batch: ItemsRequest) -> ItemsResponse:
        """New items and new versions of known ones: stored before the answer.

        Availability, dates and categories of known items count at the very next request in every
        worker; a new item can be found once each worker has read its text.
        """
        with metrics().seconds.labels("items").time():
            engine().upsert([item.live() for item in batch.items])
        return ItemsResponse(accepted=len({item.item_id for item in batch.items}))

    @router.delete("/items/{item_id:path}")
    def delete(item_id: ItemId) -> DeletedResponse:
        """Gone from the very next request on, whether or not the serving model knows it."""
        engine().delete(item_id)
        return DeletedResponse(item_id=item_id)

    @router.get("/items/{item_id:path}/similar", responses=unknown)
    def similar(item_id: ItemId, listing: Annotated[Listing, Query()]) -> SimilarResponse:
        """Items like this one, by their texts and by what people meet together."""
        with metrics().seconds.labels("similar").time():
            serving, asked = _browse(engine(), listing)
            found = serving.recommender.similar(item_id, asked)
        return SimilarResponse(model_version=serving.version, items=_listed(found))

    @router.get("/popular")
    def popular(listing: Annotated[Listing, Query()]) -> PopularResponse:
        """What most people met, and what they met lately."""
        with metrics().seconds.labels("popular").time():
            serving, asked = _browse(engine(), listing)
            counted = serving.recommender.popular(asked)
            lately = serving.recommender.popular(asked, trend(0))
        return PopularResponse(
            model_version=serving.version, popular=_listed(counted), trending=_listed(lately)
        )

    return router


def _browse(engine: Engine, listing: Listing) -> tuple[Serving, Request]:
    return engine.browse(listing.user_id, listing.k, listing.category, listing.exclude)


def _listed(found: list[RankedItem]) -> list[ListedItem]:
    return [
        ListedItem(item_id=item.item_id, score=item.score, position=position)
        for position, item in enumerate(found, start=1)
    ]
