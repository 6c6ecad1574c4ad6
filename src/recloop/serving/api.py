"""What goes over HTTP: requests and answers, strictly checked."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, field_validator

from recloop.columns import Event
from recloop.data.contract import CLOCK_SKEW
from recloop.recommender.rules import Boost, Quota
from recloop.serving.wishes import WITHOUT_NUL, Explanation, Filters, Id, Strict

_OLDEST = datetime(1970, 1, 2, tzinfo=UTC)


def _plausible(moment: datetime | None) -> datetime | None:
    if moment is not None and not _OLDEST <= moment <= datetime.now(UTC) + CLOCK_SKEW:
        raise ValueError("must lie between 1970-01-02 and now")
    return moment


class SessionEvent(Strict):
    """One thing done in the session of this request, not stored. `timestamp`: when, if known."""

    item_id: Id
    event: Event = Event.CLICK
    timestamp: AwareDatetime | None = None

    _check = field_validator("timestamp")(_plausible)


class Context(Strict):
    """Circumstances of a request. `timestamp`: when it happened, for replays; default now."""

    timestamp: AwareDatetime | None = None

    _check = field_validator("timestamp")(_plausible)


class RecommendRequest(Strict):
    """Who asks (or nobody), what was just done, what is looked for, and how the list is to be.

    `diversity`: from 0, the best scores, to 1, items as unlike each other as can be. `calibration`: from
    0 to 1, the categories in the proportions of the history. `arm`: of the experiment, instead of the
    assigned one, to look at it. `ranker`: whether a language model may order the first places anew, where
    the model has one.
    """

    user_id: Id | None = None
    history: Annotated[list[SessionEvent], Field(max_length=500)] = []
    query: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    context: Context = Context()
    k: Annotated[int, Field(ge=1, le=100)] = 10
    filters: Filters = Filters()
    exclude: Annotated[list[Id], Field(max_length=1_000)] = []
    boosts: Annotated[tuple[Boost, ...], Field(max_length=100)] = ()
    quotas: Annotated[tuple[Quota, ...], Field(max_length=100)] = ()
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    calibration: Annotated[float, Field(ge=0, le=1)] = 0.0
    arm: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    explain: bool = False
    ranker: bool = True


class RecommendedItem(BaseModel):
    """`propensity`: the probability with which this item was shown here, given those before it.

    Only if asked: `reasons`, what each part added to the score, and `explanation`, the same for people.
    """

    item_id: str
    score: float
    position: int
    propensity: float
    reasons: dict[str, float] | None = None
    explanation: list[Explanation] | None = None


class RecommendResponse(BaseModel):
    """The ranked list, and what is needed to trace it.

    `degraded`: what the list had to do without, because it was late or failed: `state` (what is newer than
    the model), `ranker`, `score` (the list is what is popular), `popularity`.
    """

    request_id: str
    model_version: str
    arm: str
    degraded: list[str] = []
    items: list[RecommendedItem]


class EventIn(Strict):
    """One thing that a user did. The same `event_id` twice counts once."""

    event_id: Id
    user_id: Id
    item_id: Id
    timestamp: AwareDatetime
    event: Event
    value: float | None = None
    query: Annotated[str, Field(max_length=1_000, pattern=WITHOUT_NUL)] | None = None
    session_id: Id | None = None
    request_id: Id | None = None

    _check = field_validator("timestamp")(_plausible)


class EventsRequest(Strict):
    """A batch, stored as a whole or not at all."""

    events: Annotated[list[EventIn], Field(min_length=1, max_length=1_000)]


class EventsResponse(BaseModel):
    """How many events were new, and how many were there already."""

    accepted: int
    duplicates: int
