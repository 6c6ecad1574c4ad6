"""Recommender: from a request to a ranked list, for HTTP and for offline evaluation alike."""

from collections.abc import Sequence

import numpy as np

from recloop.data.catalogue import Catalogue
from recloop.recommender.history import PackagedHistories
from recloop.recommender.items.availability import ItemAvailability
from recloop.recommender.lists.ranked_lists import RankedLists, rows_and_scores
from recloop.recommender.request import NO_HOOKS, RankedItem, RecommendationHooks, Request
from recloop.recommender.request_scorer import RequestScorer
from recloop.recommender.reranking import Reranker
from recloop.recommender.retrieval import CandidateRetrieval
from recloop.scoring.blend import POPULARITY, Blend
from recloop.scoring.query.matcher import QueryMatcher
from recloop.scoring.scorer import Scores
from recloop.scoring.top_k import Ranked, top_k


class UnknownItemError(LookupError):
    """The catalogue does not have the item, or the item was deleted."""


class Recommender:
    """Packaged model that ranks items of a catalogue. Immutable.

    Scores come from a `RequestScorer`, lists from `RankedLists`.

    Args:
        catalogue: Items and their rows.
        blend: Weighted sum of the channels.
        query: Search by query.
        histories: Histories of users at the time of packaging.
        repeats: Whether items of the history may be recommended again.
        reranker: Cross-encoder for the first items of each list.
        retrieval: Candidate generation for a large catalogue. None: all items are scored.
        availability: Availability of the items. None: as the catalogue says.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        blend: Blend,
        query: QueryMatcher,
        histories: PackagedHistories,
        *,
        repeats: bool = False,
        reranker: Reranker | None = None,
        retrieval: CandidateRetrieval | None = None,
        availability: ItemAvailability | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.blend = blend
        self.query = query
        self.histories = histories
        self.reranker = reranker
        self.retrieval = retrieval
        self.availability = availability or ItemAvailability.from_table(catalogue.items)
        self._scorer = RequestScorer(
            catalogue, self.availability, blend, query, reranker, retrieval, repeats
        )
        self._lists = RankedLists(catalogue, self.availability, blend, query)

    def with_catalogue(
        self,
        *,
        availability: ItemAvailability,
        catalogue: Catalogue | None = None,
        blend: Blend | None = None,
        query: QueryMatcher | None = None,
        reranker: Reranker | None = None,
    ) -> "Recommender":
        """Return the same model over a changed catalogue; what is not given stays."""
        return Recommender(
            catalogue or self.catalogue,
            blend or self.blend,
            query or self.query,
            self.histories,
            repeats=self._scorer.repeats,
            reranker=reranker or self.reranker,
            retrieval=self.retrieval,
            availability=availability,
        )

    def recommend(
        self, request: Request, hooks: RecommendationHooks = NO_HOOKS
    ) -> list[RankedItem]:
        """Return at most k items, best first.

        No list holds an item that is excluded, unavailable, hidden or outside of the filter, or,
        unless repeats are allowed, an item of the history.

        Raises:
            ValueError: The ranker returned no finite number for each candidate.
        """
        scored = self._scorer.score([request], hooks)
        if request.options.is_default and not request.explain:
            return self._lists.best(scored, request.k)
        history = self._scorer.history(request)
        items = (
            self._lists.best(scored, request.k)
            if request.options.is_default
            else self._lists.built(scored, request, history)
        )
        return (
            self._lists.explained(items, history, scored.candidates) if request.explain else items
        )

    def similar(self, item_id: str, request: Request) -> list[RankedItem]:
        """Return at most k items that are similar to an item, under the rules of `recommend`.

        A score is the sum of the standardised cosine similarity of texts and the standardised
        co-occurrence by EASE and item-kNN. Neither history (apart from the seen items) nor query of
        the request are used.

        Raises:
            UnknownItemError: The catalogue does not have the item, or the item was deleted.
        """
        rows = self.catalogue.rows([item_id])
        if not len(rows) or self.availability.deleted[rows[0]]:
            raise UnknownItemError(f"there is no item {item_id!r}")
        return self._lists.best(self._scorer.score_similar(int(rows[0]), request), request.k)

    def popular(self, request: Request, channel: str = POPULARITY) -> list[RankedItem]:
        """Return at most k items in the order of a popularity channel, under the same rules.

        A score is the logarithm of a count, 0 for items without interactions. The list is empty if
        the model does not have the channel.
        """
        if channel not in self.blend.channels:
            return []
        return self._lists.best(self._scorer.score_popular(channel, request), request.k)

    def rank(self, requests: Sequence[Request]) -> tuple[Ranked, Scores]:
        """Rank items for many requests with the same k, without list options.

        Returns:
            Item rows (int64) and scores (float32), both `(requests, k)`; -1 and -inf fill short
            lists. In a large catalogue, every request is scored among candidates of its own.
        """
        k = requests[0].k
        if self.retrieval is None:
            scored = self._scorer.score(requests, NO_HOOKS)
            return top_k(scored.scores, scored.ineligible, k)
        ranked = np.full((len(requests), k), -1, np.int64)
        values = np.full(ranked.shape, -np.inf, np.float32)
        for number, request in enumerate(requests):
            rows, scores = rows_and_scores(self._scorer.score([request], NO_HOOKS), request.k)
            ranked[number, : rows.shape[1]], values[number, : rows.shape[1]] = rows[0], scores[0]
        return ranked, values
