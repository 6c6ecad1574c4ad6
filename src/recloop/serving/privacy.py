"""Erasure and export of one person's data: what they do, and their routes."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isnan
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse

from recloop import columns as c
from recloop.data.erased import pseudonym
from recloop.data.pseudonyms import IDS, Pseudonyms
from recloop.data.trail import EVENT_NUMBERS
from recloop.logs import get_log
from recloop.recommender.recommender import Recommender
from recloop.registry.store import Registry
from recloop.serving.engine import Engine
from recloop.serving.privacy_api import Export, PackagedState, PackagedStep, Receipt, Removed
from recloop.serving.wishes import Id
from recloop.store.events import EventStore

STATEMENT = (
    "Events and served lists are deleted. What the models trained before have packaged of this user is "
    "not used any more, and stays in their files until those versions are removed; the same holds for a "
    "model whose training is under way. Snapshots taken from now on leave out everything of the user that "
    "is not dated after this moment; those taken before, and backups, stay as they are until they are "
    "removed. What the user does from now on counts again."
)
_EVENT_NAMES = {number: name for name, number in EVENT_NUMBERS.items()}

log = get_log("privacy")


class JsonStream(StreamingResponse):
    """JSON, sent while it is read."""

    media_type = "application/json"


def erase(
    user_id: str,
    store: EventStore,
    registry: Registry,
    serving: str | None,
    pseudonyms: Pseudonyms = IDS,
) -> Receipt:
    """Delete what the store holds, and let nothing older be used again. Any number of times."""
    known = pseudonyms.of(user_id)
    erased = store.personal.erase(known, datetime.now(UTC))
    log.info("erased", who=pseudonym(known), events=erased.events, served_lists=erased.served)
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
    pseudonyms: Pseudonyms = IDS,
) -> Iterator[str]:
    """An `Export` as JSON, in pieces, under the id that was asked for; rows are read while it is sent.

    The store is asked for the first time before this returns.
    """
    known = pseudonyms.of(user_id)
    erased_at = store.personal.erased_at(known)
    packaged = None
    if serving is not None:
        packaged = packaged_state(known, store.personal.erasure_of(known), *serving)
    head: dict[str, Any] = {
        "user_id": user_id,
        "exported_at": datetime.now(UTC).isoformat(),
        "erased_at": erased_at.isoformat() if erased_at else None,
        "packaged": packaged.model_dump(mode="json") if packaged else None,
    }
    rows = {
        "events": store.personal.events(known),
        "served_lists": store.personal.served(known),
    }
    told = {name: ({**row, c.USER: user_id} for row in found) for name, found in rows.items()}
    return _document(head, told)


def packaged_state(
    user_id: str, erased: int, version: str, recommender: Recommender
) -> PackagedState:
    """The user's state in a model, empty where it was packaged before the erasure numbered `erased`."""
    state, ids = recommender.states.of(user_id, erased), recommender.catalogue.ids
    past = state.past
    steps = zip(past.rows.tolist(), past.times.tolist(), past.events.tolist(), strict=True)
    return PackagedState(
        model_version=version,
        history=[
            PackagedStep(item_id=ids[row], timestamp=_moment(at), event=_EVENT_NAMES.get(number))
            for row, at, number in steps
        ],
        seen=[ids[row] for row in state.seen.tolist()],
    )


def privacy_routes(engine: Callable[[], Engine], pseudonyms: Pseudonyms = IDS) -> APIRouter:
    """`DELETE /v1/users/{user_id}` and `GET /v1/users/{user_id}/export`. An id may hold slashes."""
    router = APIRouter(prefix="/v1/users", tags=["privacy"])
    user = Annotated[Id, Path(description="As in events and requests, percent-encoded.")]

    @router.delete("/{user_id:path}")
    def erase_user(user_id: user) -> Receipt:
        """Erase everything of a user, from the very next answer on; returns a receipt."""
        now = engine()
        receipt = erase(user_id, now.store, now.registry, now.version, pseudonyms)
        now.erasures.follow()
        return receipt

    @router.get("/{user_id:path}/export", response_model=Export)
    def export_user(user_id: user) -> JsonStream:
        """Everything held of a user and in use: events, served lists, the packaged state."""
        now = engine()
        model = (now.serving.version, now.serving.recommender) if now.serving else None
        found = export(user_id, now.store, model, pseudonyms)
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
