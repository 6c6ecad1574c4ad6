"""The catalogue over HTTP: upsert, delete, similar items, what is popular."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from recloop.data.pseudonyms import IDS, Pseudonyms
from recloop.models.blend import trend
from recloop.recommender.request import RankedItem, Request
from recloop.recommender.state import UserState
from recloop.serving.catalogue_api import (
    DeletedResponse,
    ItemsRequest,
    ItemsResponse,
    ListedItem,
    Listing,
    PopularResponse,
    SimilarResponse,
)
from recloop.serving.door import known
from recloop.serving.engine import Engine
from recloop.serving.live import Serving
from recloop.serving.metrics import metrics
from recloop.serving.problems import ErrorResponse
from recloop.serving.wishes import Id

ItemId = Annotated[Id, Path()]


def routes(engine: Callable[[], Engine], pseudonyms: Pseudonyms = IDS) -> APIRouter:
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
    async def similar(item_id: ItemId, listing: Annotated[Listing, Query()]) -> SimilarResponse:
        """Items like this one, by their texts and by what people meet together."""

        def browse(serving: Serving, asked: Request) -> SimilarResponse:
            found = serving.recommender.similar(item_id, asked)
            return SimilarResponse(model_version=serving.version, items=_listed(found))

        with metrics().seconds.labels("similar").time():
            return await engine().browse(
                known(listing, pseudonyms).user_id, _wanted(listing), browse
            )

    @router.get("/popular")
    async def popular(listing: Annotated[Listing, Query()]) -> PopularResponse:
        """What most people met, and what they met lately."""

        def browse(serving: Serving, asked: Request) -> PopularResponse:
            return PopularResponse(
                model_version=serving.version,
                popular=_listed(serving.recommender.popular(asked)),
                trending=_listed(serving.recommender.popular(asked, trend(0))),
            )

        with metrics().seconds.labels("popular").time():
            return await engine().browse(
                known(listing, pseudonyms).user_id, _wanted(listing), browse
            )

    return router


def _wanted(listing: Listing) -> Request:
    return Request(
        UserState.empty(),
        k=listing.k,
        exclude=tuple(listing.exclude),
        categories=frozenset(listing.category),
    )


def _listed(found: list[RankedItem]) -> list[ListedItem]:
    return [
        ListedItem(item_id=item.item_id, score=item.score, position=position)
        for position, item in enumerate(found, start=1)
    ]
