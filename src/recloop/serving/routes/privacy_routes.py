"""Erasure and export of the data of one user, and their routes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isnan
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse

from recloop import columns as c
from recloop.data.erased_users import user_digest
from recloop.data.pseudonyms import NO_PSEUDONYMS, Pseudonyms
from recloop.data.user_sequences import EVENT_CODES
from recloop.logs import get_log
from recloop.recommender.recommender import Recommender
from recloop.registry.versions import Registry
from recloop.schemas.base import Id
from recloop.schemas.privacy import Export, PackagedState, PackagedStep, Receipt, Removed
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore

STATEMENT = (
    "Events and served lists are deleted. What the models trained before have packaged of this "
    "user is not used any more, and stays in their files until those versions are removed; the "
    "same holds for a model whose training is under way. Snapshots taken from now on leave out "
    "everything of the user that is not dated after this moment; those taken before, and backups, "
    "stay as they are until they are removed. What the user does from now on counts again."
)
_EVENT_NAMES = {number: name for name, number in EVENT_CODES.items()}

log = get_log("privacy")


class JsonStream(StreamingResponse):
    """JSON response that is sent while its rows are read from the store."""

    media_type = "application/json"


def erase(
    user_id: str,
    store: EventStore,
    registry: Registry,
    serving: str | None,
    pseudonyms: Pseudonyms = NO_PSEUDONYMS,
) -> Receipt:
    """Delete a user's events and served lists, and exclude older data of the user from use.

    Erasing a user again is allowed.

    Args:
        user_id: Id of the user, as clients send it.
        store: Store of events and served lists.
        registry: Registry, whose versions the receipt lists.
        serving: Version of the served model, None if no model is served.
        pseudonyms: Pseudonyms of user ids.
    """
    pseudonym = pseudonyms.pseudonymise(user_id)
    erased = store.personal.erase(pseudonym, datetime.now(UTC))
    log.info(
        "user erased", who=user_digest(pseudonym), events=erased.events, served_lists=erased.served
    )
    return Receipt(
        user_id=user_id,
        erased_at=erased.moment,
        removed=Removed(events=erased.events, served_lists=erased.served),
        serving_model=serving,
        models_trained_before=registry.versions(),
        statement=STATEMENT,
    )


def export(
    user_id: str,
    store: EventStore,
    serving: tuple[str, Recommender] | None,
    pseudonyms: Pseudonyms = NO_PSEUDONYMS,
) -> Iterator[str]:
    """Return the JSON of an `Export` in parts; rows are read from the store on iteration.

    The last erasure is read before this returns, so that a store that is not available is reported
    with an error status.

    Args:
        user_id: Id of the user, as clients send it. The export contains it, not the pseudonym.
        store: Store of events and served lists.
        serving: Version and recommender of the served model, None if no model is served.
        pseudonyms: Pseudonyms of user ids.
    """
    pseudonym = pseudonyms.pseudonymise(user_id)
    erased_at = store.personal.erased_at(pseudonym)
    packaged = None
    if serving is not None:
        packaged = packaged_state(pseudonym, store.personal.last_erasure(pseudonym), *serving)
    head: dict[str, Any] = {
        "user_id": user_id,
        "exported_at": datetime.now(UTC).isoformat(),
        "erased_at": erased_at.isoformat() if erased_at else None,
        "packaged": packaged.model_dump(mode="json") if packaged else None,
    }
    rows = {
        "events": store.personal.events(pseudonym),
        "served_lists": store.personal.served(pseudonym),
    }
    with_ids = {name: ({**row, c.USER: user_id} for row in found) for name, found in rows.items()}
    return _document(head, with_ids)


def packaged_state(
    user_id: str, erased: int, version: str, recommender: Recommender
) -> PackagedState:
    """Return the user's history in a model.

    Args:
        user_id: Pseudonym of the user.
        erased: Sequence number of the user's last erasure. A history that was packaged before it
            is not used any more, and the returned one is empty.
        version: Version of the model.
        recommender: Recommender of the model.
    """
    state, ids = recommender.histories.get(user_id, erased), recommender.catalogue.ids
    past = state.positive
    steps = zip(past.rows.tolist(), past.times.tolist(), past.events.tolist(), strict=True)
    return PackagedState(
        model_version=version,
        history=[
            PackagedStep(item_id=ids[row], timestamp=_moment(at), event=_EVENT_NAMES.get(number))
            for row, at, number in steps
        ],
        seen=[ids[row] for row in state.seen.tolist()],
    )


def privacy_routes(engine: Engine, pseudonyms: Pseudonyms = NO_PSEUDONYMS) -> APIRouter:
    """Return the routes `DELETE /v1/users/{user_id}` and `GET /v1/users/{user_id}/export`.

    An id may contain slashes.
    """
    router = APIRouter(prefix="/v1/users", tags=["privacy"])
    user = Annotated[
        Id, Path(description="Id of the user as in events, percent-encoded.", examples=["u1"])
    ]

    @router.delete(
        "/{user_id:path}",
        summary="Erase a user's data",
        response_description="Receipt of the erasure.",
    )
    def erase_user(user_id: user) -> Receipt:
        """Delete a user's events and served lists, and return a receipt.

        From the next request on, older data of the user are not used any more. The receipt names
        what the erasure cannot delete.
        """
        receipt = erase(user_id, engine.store, engine.registry, engine.version, pseudonyms)
        engine.erasures.refresh()
        return receipt

    @router.get(
        "/{user_id:path}/export",
        summary="Export a user's data",
        response_model=Export,
        response_description="All data of the user, as JSON.",
    )
    def export_user(user_id: user) -> JsonStream:
        """Export a user's events, served lists, and history in the served model."""
        served = engine.served_model
        model = (served.version, served.recommender) if served else None
        found = export(user_id, engine.store, model, pseudonyms)
        return JsonStream(found, headers={"cache-control": "no-store"})

    return router


def _document(head: dict[str, Any], rows: Mapping[str, Iterator[dict[str, Any]]]) -> Iterator[str]:
    yield json.dumps(head)[:-1]
    for name, found in rows.items():
        yield f', "{name}": ['
        yield from _separated(json.dumps(row) for row in found)
        yield "]"
    yield "}\n"


def _separated(parts: Iterable[str]) -> Iterator[str]:
    for number, part in enumerate(parts):
        yield f",\n{part}" if number else part


def _moment(seconds: float) -> datetime | None:
    return None if isnan(seconds) else datetime.fromtimestamp(seconds, UTC)
