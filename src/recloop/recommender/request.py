"""What is asked of a recommender, and what it answers with."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime

from recloop.recommender import filters
from recloop.recommender.filters import Where
from recloop.recommender.reasons import Reason
from recloop.recommender.reranking import Judge
from recloop.recommender.shape import PLAIN, Shape
from recloop.recommender.state import UserState

# The parts of an answer, as `Request.watch` is told of them.
CHANNELS, QUERY, FILTER = "channels", "query", "filter"


def unwatched(_stage: str) -> AbstractContextManager[None]:
    """Nobody looks."""
    return nullcontext()


@dataclass(frozen=True)
class Request:
    """What somebody asks for.

    `categories`: only items that have one of these; `where`: only those that meet it. `shape` says how
    `recommend` chooses among what is allowed, `explain` that it tells why. `at`: when; items not yet
    published or expired by then are left out. Without it, as offline, availability and dates are left
    to `exclude`, and `since` says when it is, in seconds since 1970. `judge`: how the model's ranker is
    asked, where it has one. `watch`: told when a part of the work begins and ends; of several requests,
    the first one's.
    """

    state: UserState
    k: int = 10
    query: str | None = None
    exclude: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    where: Where = filters.EVERYTHING
    shape: Shape = PLAIN
    explain: bool = False
    at: datetime | None = None
    since: float = float("nan")
    judge: Judge | None = None
    watch: Callable[[str], AbstractContextManager[object]] = unwatched

    def moment(self) -> float:
        """When, in seconds since 1970; NaN where nobody knows."""
        return self.since if self.at is None else self.at.timestamp()


@dataclass(frozen=True)
class RankedItem:
    """One item of an answer, with what each channel added to its score.

    `propensity`: with which probability it is in this place, given the items before it. `reasons`: why,
    if asked.
    """

    item_id: str
    score: float
    contributions: dict[str, float]
    propensity: float = 1.0
    reasons: tuple[Reason, ...] = ()
