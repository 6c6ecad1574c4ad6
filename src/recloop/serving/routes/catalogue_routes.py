"""Routes of the catalogue: change and delete items, list similar and popular items."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from recloop.data.live_items import LiveItem
from recloop.data.pseudonyms import NO_PSEUDONYMS, Pseudonyms
from recloop.recommender.history import UserHistory
from recloop.recommender.request import RankedItem, Request
from recloop.schemas.base import Id
from recloop.schemas.catalogue import (
    DeletedResponse,
    ItemIn,
    ItemsRequest,
    ItemsResponse,
    ListedItem,
    Listing,
    PopularResponse,
    SimilarResponse,
)
from recloop.schemas.errors import ErrorResponse
from recloop.scoring.blend import recent_popularity
from recloop.serving.engine import Engine
from recloop.serving.live_model import ServedModel
from recloop.serving.pseudonymisation import pseudonymise_request
from recloop.serving.telemetry.prometheus import metrics

ItemId = Annotated[Id, Path(description="Id of the item, percent-encoded.", examples=["m1"])]


def catalogue_routes(engine: Engine, pseudonyms: Pseudonyms = NO_PSEUDONYMS) -> APIRouter:
    """Return the routes of the catalogue over an engine, which gets pseudonyms only."""
    router = APIRouter(prefix="/v1", tags=["catalogue"])
    unknown: dict[int | str, dict[str, Any]] = {
        404: {"model": ErrorResponse, "description": "The served model does not have the item."}
    }

    @router.post(
        "/items",
        summary="Insert or replace items",
        response_description="The items are stored on disk.",
    )
    def upsert(batch: ItemsRequest) -> ItemsResponse:
        """Insert new items, and replace items that exist.

        New availability, dates and categories of an item that the model has are in effect from the
        next request on. A new item can be recommended once each worker has encoded its text.
        """
        with metrics().seconds.labels("items").time():
            engine.upsert([to_live_item(item) for item in batch.items])
        return ItemsResponse(accepted=len({item.item_id for item in batch.items}))

    @router.delete(
        "/items/{item_id:path}",
        summary="Delete an item",
        response_description="The item is deleted.",
    )
    def delete(item_id: ItemId) -> DeletedResponse:
        """Delete an item from the next request on, whether or not the served model has it.

        Stored interactions with the item are kept. The item returns if it is sent again.
        """
        engine.delete(item_id)
        return DeletedResponse(item_id=item_id)

    @router.get(
        "/items/{item_id:path}/similar",
        summary="List similar items",
        responses=unknown,
        response_description="Similar items, the most similar first.",
    )
    async def similar(item_id: ItemId, listing: Annotated[Listing, Query()]) -> SimilarResponse:
        """List items with similar texts, and items that the same users interact with."""

        def browse(serving: ServedModel, request: Request) -> SimilarResponse:
            found = serving.recommender.similar(item_id, request)
            return SimilarResponse(model_version=serving.version, items=_listed(found))

        with metrics().seconds.labels("similar").time():
            return await engine.run(
                pseudonymise_request(listing, pseudonyms).user_id, _wanted(listing), browse
            )

    @router.get(
        "/popular",
        summary="List popular items",
        response_description="Popular and trending items.",
    )
    async def popular(listing: Annotated[Listing, Query()]) -> PopularResponse:
        """List the items with the most interactions, overall and in recent time.

        Interactions are counted when the model is trained.
        """

        def browse(serving: ServedModel, request: Request) -> PopularResponse:
            return PopularResponse(
                model_version=serving.version,
                popular=_listed(serving.recommender.popular(request)),
                trending=_listed(serving.recommender.popular(request, recent_popularity(0))),
            )

        with metrics().seconds.labels("popular").time():
            return await engine.run(
                pseudonymise_request(listing, pseudonyms).user_id, _wanted(listing), browse
            )

    return router


def _wanted(listing: Listing) -> Request:
    return Request(
        UserHistory.empty(),
        k=listing.k,
        exclude=tuple(listing.exclude),
        categories=frozenset(listing.category),
    )


def _listed(found: list[RankedItem]) -> list[ListedItem]:
    return [
        ListedItem(item_id=item.item_id, score=item.score, position=position)
        for position, item in enumerate(found, start=1)
    ]


def to_live_item(item: ItemIn) -> LiveItem:
    """Return an item in the form in which it is stored; attributes become JSON."""
    categories = [name.strip() for name in item.categories]
    return LiveItem(
        item_id=item.item_id,
        title=item.title,
        text=(item.text or "").strip() or None,
        categories=tuple(name for name in categories if name),
        attributes=None
        if item.attributes is None
        else json.dumps(item.attributes, ensure_ascii=False),
        published_at=item.published_at,
        expires_at=item.expires_at,
        available=item.available,
    )
