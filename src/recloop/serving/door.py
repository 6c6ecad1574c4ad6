"""Where what clients say of users becomes what is known behind: pseudonyms in place of ids."""

from typing import TypeVar

from recloop import columns as c
from recloop.data.pseudonyms import Pseudonyms
from recloop.serving.api import EventIn, RecommendRequest
from recloop.serving.catalogue_api import Listing
from recloop.store.events import StoredEvent

Asked = TypeVar("Asked", RecommendRequest, Listing)


def known(asked: Asked, pseudonyms: Pseudonyms) -> Asked:
    """The same request, of the same user if it is of one."""
    if asked.user_id is None:
        return asked
    return asked.model_copy(update={c.USER: pseudonyms.of(asked.user_id)})


def stored(event: EventIn, pseudonyms: Pseudonyms) -> StoredEvent:
    """An event as it is stored."""
    return StoredEvent(**{**dict(event), c.USER: pseudonyms.of(event.user_id)})
