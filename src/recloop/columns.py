"""Every column, event and metric name of the project, said once.

Knows nothing of where the data comes from or goes to.
"""

from enum import StrEnum
from typing import Final

import polars as pl

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

TIMESTAMP_TYPE: Final = pl.Datetime("us", "UTC")


class Event(StrEnum):
    """What a user (or the system) can do with an item."""

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


# Events that say "more like this"; the others mark an item as seen and nothing else.
POSITIVE_EVENTS: Final = frozenset(Event) - {Event.IMPRESSION, Event.DISLIKE, Event.HIDE}

INTERACTIONS: Final = pl.Schema(
    {
        USER: pl.String(),
        ITEM: pl.String(),
        TIME: TIMESTAMP_TYPE,
        EVENT: pl.String(),
        VALUE: pl.Float64(),
        QUERY: pl.String(),
        SESSION: pl.String(),
        REQUEST: pl.String(),
    }
)

ITEMS: Final = pl.Schema(
    {
        ITEM: pl.String(),
        TITLE: pl.String(),
        TEXT: pl.String(),
        CATEGORIES: pl.List(pl.String()),
        ATTRIBUTES: pl.String(),
        PUBLISHED: TIMESTAMP_TYPE,
        EXPIRES: TIMESTAMP_TYPE,
        AVAILABLE: pl.Boolean(),
    }
)
