"""Input and output types of the recommender: request, hooks and ranked item."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime

from recloop.recommender.explanations import Reason
from recloop.recommender.history import UserHistory
from recloop.recommender.items import filter_conditions as filters
from recloop.recommender.items.filter_conditions import FilterConditions
from recloop.recommender.lists.list_builder import DEFAULT_OPTIONS, ListOptions
from recloop.recommender.reranking import RankerCall, call_directly

# Names of the timed parts of scoring, as they are passed to `RecommendationHooks.measure`.
CHANNELS, QUERY, FILTER = "channels", "query", "filter"


@dataclass(frozen=True)
class Request:
    """One request for a ranked list.

    Attributes:
        history: What the user did, including the events of the current session.
        k: Length of the list.
        query: Search query.
        exclude: Ids of items that must not be in the list.
        categories: If not empty, only items of at least one of these categories are eligible.
        conditions: Further conditions that items must meet.
        options: Rules, diversity, calibration and policy by which `recommend` builds the list.
        explain: Whether `recommend` returns reasons with each item.
        time: Time of the request. Items that are unavailable, not yet published or expired at this
            time are left out. None in offline evaluation: availability and dates are not checked.
        offline_seconds: Time of an offline request (`time` is None) in seconds since 1970, NaN if
            unknown. Only the sequence model uses it.
    """

    history: UserHistory
    k: int = 10
    query: str | None = None
    exclude: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    conditions: FilterConditions = filters.NO_CONDITIONS
    options: ListOptions = DEFAULT_OPTIONS
    explain: bool = False
    time: datetime | None = None
    offline_seconds: float = float("nan")

    def epoch_seconds(self) -> float:
        """Return the time of the request in seconds since 1970, NaN if it is unknown."""
        return self.offline_seconds if self.time is None else self.time.timestamp()


def _not_measured(_stage: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class RecommendationHooks:
    """Functions of the caller that the recommender runs around parts of its work.

    By default, the ranker is called in the same thread without a time limit, and nothing is
    measured.

    Attributes:
        call_ranker: Calls the function that it is given, which returns the logits of the ranker, or
            returns None to leave the ranker out.
        measure: Returns a context manager around one part of scoring: `CHANNELS`, `QUERY` or
            `FILTER`.
    """

    call_ranker: RankerCall = call_directly
    measure: Callable[[str], AbstractContextManager[object]] = _not_measured


NO_HOOKS = RecommendationHooks()


@dataclass(frozen=True)
class RankedItem:
    """One item of a ranked list.

    Attributes:
        item_id: Id of the item.
        score: Sum of the contributions.
        contributions: What each channel added to the score, by name of the channel.
        propensity: Probability of this item at this position, given the items before it.
        reasons: Reasons, strongest first, if the request asks for them.
    """

    item_id: str
    score: float
    contributions: dict[str, float]
    propensity: float = 1.0
    reasons: tuple[Reason, ...] = ()
