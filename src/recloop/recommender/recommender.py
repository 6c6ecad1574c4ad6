"""The one way from a request to a ranked list, for HTTP and for offline evaluation alike."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.models.blend import COLLABORATIVE, CONTENT, POPULARITY, Blend, combine
from recloop.models.query import QuerySide
from recloop.models.ranking import Ranked, top_k
from recloop.models.scorer import Histories, Scores, standardise
from recloop.recommender.filters import EVERYTHING, Where
from recloop.recommender.offer import Offer
from recloop.recommender.reasons import BOOST, Reason, Step, reasons, recent
from recloop.recommender.reranking import Judge, Reranker
from recloop.recommender.shape import PLAIN, Shape, Shelf
from recloop.recommender.state import Past, UserState, UserStates

# The parts of an answer, as `Request.watch` is told of them.
SCORE, QUERY, FILTER = "score", "query", "filter"

# Parts and scores `(requests, items)`, and what must not leave, of each request.
_Scored = tuple[dict[str, Scores], Scores, list[Rows]]


def unwatched(_stage: str) -> AbstractContextManager[None]:
    """Nobody looks."""
    return nullcontext()


class UnknownItemError(LookupError):
    """An item that the catalogue does not have."""


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
    where: Where = EVERYTHING
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
        """At most k items, best first; none that is excluded, unavailable, hidden or filtered out.

        None that is seen either, unless repeats are allowed.
        """
        parts, scores, (forbidden,) = self._scored([request])
        if request.shape.plain:
            ranked, values = top_k(scores, [forbidden], request.k)
            found = self._items(ranked, values, parts, forbidden)
        else:
            found = self._shaped(request, scores, parts, forbidden)
        return self._explained(request, found) if request.explain else found

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
        ranked, scores = top_k(combine(parts), [forbidden], request.k)
        return self._items(ranked, scores, parts, forbidden)

    def popular(self, request: Request, channel: str = POPULARITY) -> list[RankedItem]:
        """At most k items in the order of a channel that is the same for everybody.

        Under the rules of `recommend`. A score is the logarithm of a count; items that nobody has met
        have 0. Empty where the model does not have the channel.
        """
        if channel not in self.blend.channels:
            return []
        parts = {channel: self.blend.liked(channel)}
        forbidden = self._forbidden(request)
        ranked, scores = top_k(parts[channel], [forbidden], request.k)
        return self._items(ranked, scores, parts, forbidden)

    def _shaped(
        self, request: Request, scores: Scores, parts: Mapping[str, Scores], forbidden: Rows
    ) -> list[RankedItem]:
        boosts = request.shape.rules.boosts
        if boosts:
            lifts = request.shape.rules.lifts(self.catalogue, self.offer)[None]
            parts, scores = {**parts, BOOST: lifts}, scores + lifts
        allowed = scores[0].copy()
        allowed[forbidden] = -np.inf
        shelf = Shelf(self.catalogue, self.offer, self.query)
        shaped = shelf.arrange(request.shape, allowed, request.k, self._past(request).rows)
        found = self._items(shaped.rows[None], scores[:, shaped.rows], parts, forbidden)
        drawn = zip(found, shaped.propensities, strict=True)
        return [replace(item, propensity=propensity) for item, propensity in drawn]

    def _explained(self, request: Request, found: list[RankedItem]) -> list[RankedItem]:
        past, rows = self._past(request), self.catalogue.rows(item.item_id for item in found)
        kept = recent(past.rows)
        titles = self.catalogue.items[c.TITLE]
        steps = [
            Step(
                self.catalogue.ids[row],
                titles[row],
                int(event),
                self.blend.together(row)[0, rows],
                self.query.likeness(row)[0, rows],
            )
            for row, event in zip(past.rows[kept].tolist(), past.events[kept], strict=True)
        ]
        return [
            replace(item, reasons=reasons(item.item_id, place, item.contributions, steps))
            for place, item in enumerate(found)
        ]

    def _items(
        self, ranked: Ranked, scores: Scores, parts: Mapping[str, Scores], forbidden: Rows
    ) -> list[RankedItem]:
        """The first list, of which the rest is -1. The only way out: no forbidden row takes it."""
        barred = np.zeros(len(self.catalogue), np.bool_)
        barred[forbidden] = True
        return [
            RankedItem(
                self.catalogue.ids[row],
                float(score),
                {name: float(part[0, row]) for name, part in parts.items()},
            )
            for row, score in zip(ranked[0], scores[0], strict=True)
            if row >= 0 and not barred[row]
        ]

    def rank(self, requests: Sequence[Request]) -> tuple[Ranked, Scores]:
        """Row numbers and scores for many requests of one k at once; -1 fills short lists."""
        _, scores, forbidden = self._scored(requests)
        return top_k(scores, forbidden, requests[0].k)

    def _scored(self, requests: Sequence[Request]) -> _Scored:
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
        return parts, scores, forbidden

    def _past(self, request: Request) -> Past:
        past = request.state.past
        return past if self._repeats else past.once()

    def _forbidden(self, request: Request) -> Rows:
        """The one final filter of every list."""
        excluded = self.catalogue.rows(request.exclude)
        seen = request.state.hidden if self._repeats else request.state.seen
        refused = self.offer.refused(request.at, request.categories)
        rules = [excluded, seen, refused]
        if not request.where.nothing:
            rules.append(np.flatnonzero(~request.where.met(self.catalogue, self.offer)))
        return np.concatenate(rules)
