"""The one way from a request to a ranked list, for HTTP and for offline evaluation alike."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.models.blend import COLLABORATIVE, CONTENT, POPULARITY, Blend, combine
from recloop.models.finders import best
from recloop.models.query import QuerySide
from recloop.models.ranking import Ranked, top_k
from recloop.models.scope import EVERYTHING, Scope, distinct
from recloop.models.scorer import Histories, Scores, standardise
from recloop.recommender.gate import Gate
from recloop.recommender.offer import Offer
from recloop.recommender.reasons import BOOST, Step, reasons, recent
from recloop.recommender.request import CHANNELS, FILTER, QUERY, RankedItem, Request
from recloop.recommender.reranking import Reranker
from recloop.recommender.retrieval import Find, Retrieval, Search
from recloop.recommender.shape import Shelf
from recloop.recommender.state import Past, UserStates


class _Scored(NamedTuple):
    """Parts and scores `(requests, items in scope)`, and of each request, places of what must not leave."""

    parts: Mapping[str, Scores]
    scores: Scores
    forbidden: list[Rows]
    scope: Scope


class UnknownItemError(LookupError):
    """An item that the catalogue does not have."""


class Recommender:
    """A packaged model, ready to answer. `repeats`: what somebody has had may be recommended again.

    `retrieval`: which items are scored, where the catalogue is too large to score all.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        blend: Blend,
        query: QuerySide,
        states: UserStates,
        *,
        repeats: bool = False,
        reranker: Reranker | None = None,
        retrieval: Retrieval | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.states = states
        self.blend = blend
        self.query = query
        self.offer = Offer.of(catalogue.items)
        self.reranker = reranker
        self._repeats = repeats
        self.retrieval = retrieval

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
        scored = self._scored([request])
        found = (
            self._best(request, scored) if request.shape.plain else self._shaped(request, scored)
        )
        return self._explained(request, found, scored.scope) if request.explain else found

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

        def alike(count: int, *, sampled: bool) -> Rows:  # noqa: ARG001 - of one form
            found = self.query.find_alike(row, count), self.blend.find_together(row, count)
            return distinct(rows, *found)

        gate = self._gate(request)

        def mixed(scope: Scope) -> dict[str, Scores]:
            return {
                CONTENT: standardise(self.query.likeness(row, scope), scope.counted),
                COLLABORATIVE: self.blend.together(row, scope),
            }

        scope = self._scope(request, gate, alike, lambda scope: combine(mixed(scope)))
        parts = mixed(scope)
        place = scope.places(rows)
        forbidden = np.append(gate.forbidden(scope), place[place >= 0])
        return self._best(request, _Scored(parts, combine(parts), [forbidden], scope))

    def popular(self, request: Request, channel: str = POPULARITY) -> list[RankedItem]:
        """At most k items in the order of a channel that is the same for everybody.

        Under the rules of `recommend`. A score is the logarithm of a count; items that nobody has met
        have 0. Empty where the model does not have the channel.
        """
        if channel not in self.blend.channels:
            return []
        gate, liked = self._gate(request), self.blend.liked(channel)

        def first(count: int, *, sampled: bool) -> Rows:  # noqa: ARG001 - of one form
            if gate.meeting is None:
                return self.blend.leading(channel, count)
            return gate.meeting[best(liked[0, gate.meeting], count)]

        scope = self._scope(request, gate, first, lambda scope: liked[:, scope.rows])
        scores = liked[:, scope.rows]
        scored = _Scored({channel: scores}, scores, [gate.forbidden(scope)], scope)
        return self._best(request, scored)

    def _best(self, request: Request, scored: _Scored) -> list[RankedItem]:
        ranked, values = top_k(scored.scores, scored.forbidden, request.k)
        return self._items(ranked, values, scored)

    def _shaped(self, request: Request, scored: _Scored) -> list[RankedItem]:
        parts, scores, (forbidden,), scope = scored
        boosts = request.shape.rules.boosts
        if boosts:
            lifts = request.shape.rules.lifts(self.catalogue, self.offer, scope)[None]
            parts, scores = {**parts, BOOST: lifts}, scores + lifts
        allowed = scores[0].copy()
        allowed[forbidden] = -np.inf
        shelf = Shelf(self.catalogue, self.offer, self.query, scope)
        shaped = shelf.arrange(request.shape, allowed, request.k, self._past(request).rows)
        values = scores[:, shaped.places]
        found = self._items(shaped.places[None], values, scored._replace(parts=parts))
        drawn = zip(found, shaped.propensities, strict=True)
        return [replace(item, propensity=propensity) for item, propensity in drawn]

    def _explained(
        self, request: Request, found: list[RankedItem], scope: Scope
    ) -> list[RankedItem]:
        past, rows = self._past(request), self.catalogue.rows(item.item_id for item in found)
        places = scope.places(rows)
        kept = recent(past.rows)
        titles = self.catalogue.items[c.TITLE]
        steps = [
            Step(
                self.catalogue.ids[row],
                titles[row],
                int(event),
                self.blend.together(row, scope)[0, places],
                self.query.likeness(row, scope)[0, places],
            )
            for row, event in zip(past.rows[kept].tolist(), past.events[kept], strict=True)
        ]
        return [
            replace(item, reasons=reasons(item.item_id, place, item.contributions, steps))
            for place, item in enumerate(found)
        ]

    def _items(self, ranked: Ranked, scores: Scores, scored: _Scored) -> list[RankedItem]:
        """The first list, of which the rest is -1. The only way out: no forbidden place takes it."""
        barred = np.zeros(scored.scores.shape[1], np.bool_)
        barred[scored.forbidden[0]] = True
        kept = (ranked[0] >= 0) & ~barred[ranked[0]]
        places, values = ranked[0, kept], scores[0, kept].tolist()
        added = zip(*(part[0, places].tolist() for part in scored.parts.values()), strict=True)
        rows = scored.scope.rows_at(places).tolist()
        return [
            RankedItem(self.catalogue.ids[row], score, dict(zip(scored.parts, own, strict=True)))
            for row, score, own in zip(rows, values, added, strict=True)
        ]

    def rank(self, requests: Sequence[Request]) -> tuple[Ranked, Scores]:
        """Row numbers and scores for many requests of one k at once; -1 fills short lists.

        Of a large catalogue one after the other, each among its own candidates.
        """
        if self.retrieval is None:
            scored = self._scored(requests)
            return top_k(scored.scores, scored.forbidden, requests[0].k)
        ranked = np.full((len(requests), requests[0].k), -1, np.int64)
        values = np.full(ranked.shape, -np.inf, np.float32)
        for number, request in enumerate(requests):
            scored = self._scored([request])
            places, own = top_k(scored.scores, scored.forbidden, request.k)
            rows = np.where(places < 0, -1, scored.scope.rows_at(places))
            ranked[number, : rows.shape[1]], values[number, : rows.shape[1]] = rows[0], own[0]
        return ranked, values

    def _scored(self, requests: Sequence[Request]) -> _Scored:
        """Of several requests together, where everything is scored; of a large catalogue, of one."""
        watch, gates = requests[0].watch, [self._gate(request) for request in requests]
        with watch(CHANNELS):
            asked = self._asked(requests)
            find = partial(self._candidates, requests[0], asked)
            score = partial(self._mixed, requests[0], asked)
            scope = self._scope(requests[0], gates[0], find, score)
            parts = self.blend.parts(replace(asked, scope=scope))
        with watch(QUERY):
            queries = [request.query for request in requests]
            parts, scores = self.query.lead(parts, combine(parts), queries, scope)
        with watch(FILTER):
            forbidden = [gate.forbidden(scope) for gate in gates]
        if self.reranker:
            parts, scores = self.reranker.lead(
                parts, scores, asked.histories, forbidden, requests, scope
            )
        return _Scored(parts, scores, forbidden, scope)

    def _mixed(self, request: Request, asked: Histories, scope: Scope) -> Scores:
        """Of one request, what channels and query say together."""
        parts = self.blend.parts(replace(asked, scope=scope))
        return self.query.lead(parts, combine(parts), [request.query], scope)[1]

    def _scope(
        self, request: Request, gate: Gate, find: Find, score: Callable[[Scope], Scores]
    ) -> Scope:
        if self.retrieval is None:
            return EVERYTHING
        return self.retrieval.scope(
            gate, request.k, Search(find, score, self.blend.with_new, self.blend.backed)
        )

    def _candidates(self, request: Request, asked: Histories, count: int, *, sampled: bool) -> Rows:
        """Rows of what may be best, and the most popular of what the rules are about.

        With a query, no item is best without it.
        """
        meant = self.query.find(request.query, count)
        found = [meant, self.blend.find(asked, count, sampled=sampled or len(meant) > 0)]
        for named in request.shape.rules.named(self.catalogue, self.offer):
            rows = np.flatnonzero(named)
            found.append(rows[best(self.blend.liked(POPULARITY)[0, rows], count)])
        return distinct(*found)

    def _asked(self, requests: Sequence[Request]) -> Histories:
        pasts = [self._past(request) for request in requests]
        told = [past.signals(each.moment()) for past, each in zip(pasts, requests, strict=True)]
        return Histories([past.rows for past in pasts], told)

    def _past(self, request: Request) -> Past:
        past = request.state.past
        return past if self._repeats else past.once()

    def _gate(self, request: Request) -> Gate:
        seen = request.state.hidden if self._repeats else request.state.seen
        return Gate(
            self.catalogue,
            self.offer,
            request.exclude,
            seen,
            request.at,
            request.categories,
            request.where,
        )
