"""Replacement of user ids in requests and events by pseudonyms."""

from typing import TypeVar

from recloop import columns as c
from recloop.data.pseudonyms import Pseudonyms
from recloop.schemas.catalogue import Listing
from recloop.schemas.recommend import EventIn, RecommendRequest
from recloop.store.event_store import StoredEvent

UserRequest = TypeVar("UserRequest", RecommendRequest, Listing)


def pseudonymise_request(request: UserRequest, pseudonyms: Pseudonyms) -> UserRequest:
    """Return a copy of a request with the user's pseudonym; without a user, the request itself."""
    if request.user_id is None:
        return request
    return request.model_copy(update={c.USER: pseudonyms.pseudonymise(request.user_id)})


def to_stored_event(event: EventIn, pseudonyms: Pseudonyms) -> StoredEvent:
    """Return an event in the form in which it is stored, with the user's pseudonym."""
    return StoredEvent(**{**dict(event), c.USER: pseudonyms.pseudonymise(event.user_id)})
