"""Requests and responses of `/v1/recommend` and `/v1/events`."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field, field_validator

from recloop.columns import CLOCK_SKEW, Event
from recloop.schemas.base import WITHOUT_NUL, Id, Schema, StrictModel
from recloop.schemas.filters import Filters
from recloop.schemas.rules import Boost, Quota

_OLDEST = datetime(1970, 1, 2, tzinfo=UTC)


def _plausible(time: datetime | None) -> datetime | None:
    if time is not None and not _OLDEST <= time <= datetime.now(UTC) + CLOCK_SKEW:
        raise ValueError("must lie between 1970-01-02 and now")
    return time


class SessionEvent(StrictModel):
    """An event of the current session. It is used for this request and not stored."""

    item_id: Id
    """Id of the item."""
    event: Event = Event.CLICK
    """Type of the event."""
    timestamp: AwareDatetime | None = None
    """Time of the event. Null: unknown."""

    _check = field_validator("timestamp")(_plausible)


class Context(StrictModel):
    """Circumstances of a request."""

    timestamp: AwareDatetime | None = None
    """Time of the request, for replays. Null: now."""

    _check = field_validator("timestamp")(_plausible)


class RecommendRequest(StrictModel):
    """User (optional), events of the current session, search query and list options."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "u1", "k": 3},
                {"history": [{"item_id": "m1"}], "query": "a quiet film about the sea", "k": 3},
            ]
        }
    )

    user_id: Id | None = None
    """Id of the user. Null: an anonymous request."""
    history: Annotated[list[SessionEvent], Field(max_length=500)] = []
    """Events of the current session, oldest first."""
    query: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """Search query in natural language. Null: recommendations without a search."""
    context: Context = Context()
    """Circumstances of the request."""
    k: Annotated[int, Field(ge=1, le=100)] = 10
    """Largest number of items to return."""
    filters: Filters = Filters()
    """Conditions for the items of the list."""
    exclude: Annotated[list[Id], Field(max_length=1_000)] = []
    """Ids of items to leave out."""
    boosts: Annotated[tuple[Boost, ...], Field(max_length=100)] = ()
    """Changes of the scores of some items."""
    quotas: Annotated[tuple[Quota, ...], Field(max_length=100)] = ()
    """Bounds of the number of items of a category."""
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """From 0 (best scores) to 1 (most dissimilar items)."""
    calibration: Annotated[float, Field(ge=0, le=1)] = 0.0
    """From 0 to 1: weight of keeping the proportions of categories in the history."""
    arm: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Arm of the experiment to use in place of the assigned one."""
    explain: bool = False
    """Whether to explain each item's score."""
    ranker: bool = True
    """Whether the language model may re-rank the first items, if the model has a ranker."""


class Explanation(Schema):
    """A reason for an item: a code, a sentence, and the item that the reason names, if any."""

    code: str
    """Code of the reason, for programs."""
    text: str
    """The reason in words."""
    item_id: str | None = None
    """Item that the reason names. Null: none."""


class RecommendedItem(Schema):
    """An item of a list."""

    item_id: str
    """Id of the item."""
    score: float
    """Score of the item. Scores of different lists are not comparable."""
    position: int
    """Position in the list, from 1."""
    propensity: float
    """Probability of this item at this position, given the items above it."""
    reasons: dict[str, float] | None = None
    """With `explain`: the contribution of each channel to the score."""
    explanation: list[Explanation] | None = None
    """With `explain`: the reasons in words."""


class RecommendResponse(Schema):
    """The ranked list, with the model version and the experiment's arm that produced it."""

    request_id: str
    """Id of the response, which events about its items name."""
    model_version: str
    """Version of the model that produced the list."""
    arm: str
    """Arm of the experiment."""
    degraded: list[str] = []
    """Stages that failed or were late: `state` (the user's newest events are missing), `ranker`,
    `score` (the list has popular items), `popularity` (the list is empty)."""
    items: list[RecommendedItem]
    """The list, best item first."""


class EventIn(StrictModel):
    """An event of a user. An `event_id` that is sent twice counts once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event_id": "e1",
                    "user_id": "u1",
                    "item_id": "m1",
                    "timestamp": "2026-01-31T12:00:00Z",
                    "event": "click",
                }
            ]
        }
    )

    event_id: Id
    """Id of the event."""
    user_id: Id
    """Id of the user."""
    item_id: Id
    """Id of the item."""
    timestamp: AwareDatetime
    """Time of the event."""
    event: Event
    """Type of the event."""
    value: float | None = None
    """Value of the event, for example a rating."""
    query: Annotated[str, Field(max_length=1_000, pattern=WITHOUT_NUL)] | None = None
    """Search query that led to the event."""
    session_id: Id | None = None
    """Session of the event."""
    request_id: Id | None = None
    """Request whose list the user interacted with."""

    _check = field_validator("timestamp")(_plausible)


class EventsRequest(StrictModel):
    """A batch of events, which is stored as a whole or not at all."""

    events: Annotated[list[EventIn], Field(min_length=1, max_length=1_000)]
    """Events to store."""


class EventsResponse(Schema):
    """The number of new events, and of those that were stored before."""

    accepted: int
    """Number of events that were new."""
    duplicates: int
    """Number of events that were stored before, or were repeated in the batch."""
