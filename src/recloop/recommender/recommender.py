"""The one way from a request to a ranked list, for HTTP and for offline evaluation alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.models.blend import Blend, combine
from recloop.models.query import QuerySide
from recloop.models.ranking import Ranked, top_k
from recloop.models.scorer import Histories, Scores
from recloop.recommender.state import Past, UserState, UserStates


@dataclass(frozen=True)
class Request:
    """What somebody asks for.

    `categories`: only items that have one of these. `at`: when; items not yet published or expired
    by then are left out. Without it, as offline, availability and dates are left to `exclude`, and
    `since` says when it is, in seconds since 1970.
    """

    state: UserState
    k: int = 10
    query: str | None = None
    exclude: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    at: datetime | None = None
    since: float = float("nan")

    def moment(self) -> float:
        """When, in seconds since 1970; NaN where nobody knows."""
        return self.since if self.at is None else self.at.timestamp()


@dataclass(frozen=True)
class RankedItem:
    """One item of an answer, with what each channel added to its score."""

    item_id: str
    score: float
    contributions: dict[str, float]


class Recommender:
    """A packaged model, ready to answer. `repeats`: what somebody has had may be recommended again."""

    def __init__(
        self,
        catalogue: Catalogue,
        blend: Blend,
        query: QuerySide,
        states: UserStates,
        *,
        repeats: bool = False,
    ) -> None:
        self.catalogue = catalogue
        self._repeats = repeats
        self.states = states
        self._blend = blend
        self._query = query
        self._categories = [frozenset(own) for own in catalogue.items[c.CATEGORIES].to_list()]
        self._available = catalogue.items[c.AVAILABLE].to_numpy()
        self._from = _moments(catalogue, c.PUBLISHED, np.datetime64("0001-01-01", "us"))
        self._until = _moments(catalogue, c.EXPIRES, np.datetime64("9999-12-31", "us"))

    def recommend(self, request: Request) -> list[RankedItem]:
        """At most k items, best first; none that is excluded, unavailable or filtered out.

        None that is seen either, unless repeats are allowed.
        """
        ranked, scores, parts = self._rank([request])
        return [
            RankedItem(
                self.catalogue.ids[row],
                float(score),
                {name: float(part[0, row]) for name, part in parts.items()},
            )
            for row, score in zip(ranked[0], scores[0], strict=True)
            if row >= 0
        ]

    def rank(self, requests: Sequence[Request]) -> tuple[Ranked, Scores]:
        """Row numbers and scores for many requests of one k at once; -1 fills short lists."""
        ranked, scores, _ = self._rank(requests)
        return ranked, scores

    def _rank(self, requests: Sequence[Request]) -> tuple[Ranked, Scores, dict[str, Scores]]:
        pasts = [self._past(request) for request in requests]
        told = [past.signals(each.moment()) for past, each in zip(pasts, requests, strict=True)]
        parts = self._blend.parts(Histories([past.rows for past in pasts], told))
        history = combine(parts)
        queries = [request.query for request in requests]
        parts, scores = self._query.lead(parts, history, queries)
        forbidden = [self._forbidden(request) for request in requests]
        ranked, values = top_k(scores, forbidden, requests[0].k)
        return ranked, values, parts

    def _past(self, request: Request) -> Past:
        past = request.state.past
        return past if self._repeats else past.once()

    def _forbidden(self, request: Request) -> Rows:
        rules = [self.catalogue.rows(request.exclude)]
        if not self._repeats:
            rules.append(request.state.seen)
        if request.at is not None:
            at = np.datetime64(request.at.astimezone(UTC).replace(tzinfo=None), "us")
            on_offer = self._available & (self._from <= at) & (at < self._until)
            rules.append(np.flatnonzero(~on_offer))
        if request.categories:
            wrong = [not (own & request.categories) for own in self._categories]
            rules.append(np.flatnonzero(wrong))
        return np.concatenate(rules)


def _moments(catalogue: Catalogue, column: str, otherwise: np.datetime64) -> NDArray[np.datetime64]:
    """A time column in UTC as `(items,)`, with `otherwise` where there is none."""
    moments = catalogue.items[column].dt.replace_time_zone(None).to_numpy()
    return np.where(np.isnat(moments), otherwise, moments)
