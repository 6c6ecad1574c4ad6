"""Names of columns and events. Every other module of the project uses these constants."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

USER: Final = "user_id"
ITEM: Final = "item_id"
TIME: Final = "timestamp"
EVENT: Final = "event"
VALUE: Final = "value"
QUERY: Final = "query"
SESSION: Final = "session_id"
REQUEST: Final = "request_id"

TITLE: Final = "title"
TEXT: Final = "text"
CATEGORIES: Final = "categories"
ATTRIBUTES: Final = "attributes"
PUBLISHED: Final = "published_at"
EXPIRES: Final = "expires_at"
AVAILABLE: Final = "available"

RANKED: Final = "ranked"
SCORES: Final = "scores"
RELEVANT: Final = "relevant"
REASON: Final = "reason"
ROW: Final = "row"


class Event(StrEnum):
    """An event that a user, or the system, can record for an item."""

    IMPRESSION = "impression"
    CLICK = "click"
    CART = "cart"
    PURCHASE = "purchase"
    PLAY = "play"
    READ = "read"
    RATING = "rating"
    LIKE = "like"
    DISLIKE = "dislike"
    HIDE = "hide"


# Events that count as interest in an item. The others only mark an item as seen.
POSITIVE_EVENTS: Final = frozenset(Event) - {Event.IMPRESSION, Event.DISLIKE, Event.HIDE}

# A timestamp may lie this far in the future, because the clocks of two machines differ.
CLOCK_SKEW: Final = timedelta(minutes=5)
