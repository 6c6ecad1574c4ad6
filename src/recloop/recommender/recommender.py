"""The one way from a request to a ranked list, for HTTP and for offline evaluation alike."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recloop.data.catalogue import Catalogue, Rows
from recloop.models.blend import COLLABORATIVE, CONTENT, POPULARITY, Blend, combine
from recloop.models.query import QuerySide
from recloop.models.ranking import Ranked, top_k
from recloop.models.scorer import Histories, Scores, standardise
from recloop.recommender.offer import Offer
from recloop.recommender.reranking import Judge, Reranker
from recloop.recommender.state import Past, UserState, UserStates

# The parts of an answer, as `Request.watch` is told of them.
SCORE, QUERY, FILTER = "score", "query", "filter"


def unwatched(_stage: str) -> AbstractContextManager[None]:
    """Nobody looks."""
    return nullcontext()


class UnknownItemError(LookupError):
    """An item that the catalogue does not have."""


@dataclass(frozen=True)
class Request:
    """What somebody asks for.

    `categories`: only items that have one of these. `at`: when; items not yet published or expired
    by then are left out. Without it, as offline, availability and dates are left to `exclude`, and
    `since` says when it is, in seconds since 1970. `judge`: how the model's ranker is asked, where it
    has one. `watch`: told when a part of the work begins and ends; of several requests, the first one's.
    """

    state: UserState
    k: int = 10
    query: str | None = None
    exclude: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    at: datetime | None = None
    since: float = float("nan")
    judge: Judge | None = None
    watch: Callable[[str], AbstractContextManager[object]] = unwatched

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
        reranker: Reranker | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.states = states
        self.blend = blend
        self.query = query
        self.offer = Offer.of(catalogue.items)
        self.reranker = reranker
        self._repeats = repeats

    def over(
        self,
        *,
        offer: Offer,
        catalogue: Catalogue | None = None,
        blend: Blend | None = None,
        query: QuerySide | None = None,
        reranker: Reranker | None = None,
    ) -> "Recommender":
        """The same model over another offer, or over a catalogue that has grown."""
        other = copy(self)
        other.offer = offer
        other.catalogue = catalogue or self.catalogue
        other.blend = blend or self.blend
        other.query = query or self.query
        other.reranker = reranker or self.reranker
        return other

    def recommend(self, request: Request) -> list[RankedItem]:
        """At most k items, best first; none that is excluded, unavailable or filtered out.

        None that is seen either, unless repeats are allowed.
        """
        ranked, scores, parts = self._rank([request])
        return self._items(ranked, scores, parts)

    def similar(self, item_id: str, request: Request) -> list[RankedItem]:
        """At most k items like this one, under the rules of `recommend`; never the item itself.

        Half of a score is the cosine of the texts in the query encoder's space, half what people meet
        together with it by EASE and item-kNN, each standardised. New items are worth to the second half
        what the known ones nearest in text are (as in `recommend`); a new item is judged by its text
        alone. History and query of the request are not looked at.

        Raises:
            UnknownItemError: the catalogue does not have it, or it was deleted.
        """
        rows = self.catalogue.rows([item_id])
        if not len(rows) or self.offer.gone[rows[0]]:
            raise UnknownItemError(f"there is no item {item_id!r}")
        row = int(rows[0])
        parts = {
            CONTENT: standardise(self.query.likeness(row)),
            COLLABORATIVE: self.blend.together(row),
        }
        forbidden = np.append(self._forbidden(request), row)
        return self._items(*top_k(combine(parts), [forbidden], request.k), parts)

    def popular(self, request: Request, channel: str = POPULARITY) -> list[RankedItem]:
        """At most k items in the order of a channel that is the same for everybody.

        Under the rules of `recommend`. A score is the logarithm of a count; items that nobody has met
        have 0. Empty where the model does not have the channel.
        """
        if channel not in self.blend.channels:
            return []
        parts = {channel: self.blend.liked(channel)}
        ranked, scores = top_k(parts[channel], [self._forbidden(request)], request.k)
        return self._items(ranked, scores, parts)

    def _items(
        self, ranked: Ranked, scores: Scores, parts: Mapping[str, Scores]
    ) -> list[RankedItem]:
        """The first list, of which the rest is -1."""
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
        watch = requests[0].watch
        with watch(SCORE):
            pasts = [self._past(request) for request in requests]
            told = [past.signals(each.moment()) for past, each in zip(pasts, requests, strict=True)]
            histories = [past.rows for past in pasts]
            parts = self.blend.parts(Histories(histories, told))
        with watch(QUERY):
            queries = [request.query for request in requests]
            parts, scores = self.query.lead(parts, combine(parts), queries)
        with watch(FILTER):
            forbidden = [self._forbidden(request) for request in requests]
        if self.reranker:
            parts, scores = self.reranker.lead(parts, scores, histories, forbidden, requests)
        ranked, values = top_k(scores, forbidden, requests[0].k)
        return ranked, values, parts

    def _past(self, request: Request) -> Past:
        past = request.state.past
        return past if self._repeats else past.once()

    def _forbidden(self, request: Request) -> Rows:
        """The one final filter of every list."""
        excluded = self.catalogue.rows(request.exclude)
        seen = excluded[:0] if self._repeats else request.state.seen
        refused = self.offer.refused(request.at, request.categories)
        return np.concatenate([excluded, seen, refused])
