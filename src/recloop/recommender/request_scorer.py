"""Scoring of requests: candidate generation, blend, search query, eligibility and re-ranking."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from recloop.data.catalogue import Catalogue, Rows
from recloop.recommender.history import InteractionHistory
from recloop.recommender.items.availability import ItemAvailability
from recloop.recommender.items.eligibility import EligibilityFilter
from recloop.recommender.request import CHANNELS, FILTER, QUERY, RecommendationHooks, Request
from recloop.recommender.reranking import Reranker
from recloop.recommender.retrieval import CandidateRetrieval, GenerateCandidates, Search
from recloop.scoring.blend import CO_OCCURRENCE, POPULARITY, TEXT, Blend, total_scores
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, sorted_union
from recloop.scoring.candidates.generators import top_positions
from recloop.scoring.query.matcher import QueryMatcher
from recloop.scoring.scorer import RequestBatch, Scores, standardise


class ScoredItems(NamedTuple):
    """Scores of one or several requests.

    Attributes:
        contributions: Contribution of each channel, each `(requests, candidates)`, float32.
        scores: Sum of the contributions, `(requests, candidates)`.
        ineligible: For each request, positions among the candidates that must not be in its list.
        candidates: The items that were scored.
    """

    contributions: Mapping[str, Scores]
    scores: Scores
    ineligible: list[Rows]
    candidates: Candidates


@dataclass(frozen=True)
class RequestScorer:
    """Scores the items of a catalogue for requests.

    Attributes:
        catalogue: Items and their rows.
        availability: Availability, dates and attributes of the items.
        blend: Weighted sum of the channels.
        query: Search by query.
        reranker: Cross-encoder for the first items of each list, if the model has one.
        retrieval: Candidate generation for a large catalogue. None: all items are scored.
        repeats: Whether items of the history may be recommended again.
    """

    catalogue: Catalogue
    availability: ItemAvailability
    blend: Blend
    query: QueryMatcher
    reranker: Reranker | None
    retrieval: CandidateRetrieval | None
    repeats: bool

    def score(self, requests: Sequence[Request], hooks: RecommendationHooks) -> ScoredItems:
        """Score items for requests; for a large catalogue, exactly one request."""
        filters = [self._eligibility(request) for request in requests]
        with hooks.measure(CHANNELS):
            batch = self._batch(requests)
            generate = partial(self._generate, requests[0], batch)
            blended = partial(self._blended_scores, requests[0], batch)
            candidates = self._candidates(requests[0], filters[0], generate, blended)
            parts = self.blend.contributions(batch.with_candidates(candidates))
        queries = [request.query for request in requests]
        with hooks.measure(QUERY):
            parts, scores = self.query.apply(parts, total_scores(parts), queries, candidates)
        with hooks.measure(FILTER):
            ineligible = [each.ineligible_positions(candidates) for each in filters]
        if self.reranker:
            parts, scores = self.reranker.apply(
                parts, scores, batch.histories, ineligible, queries, candidates, hooks.call_ranker
            )
        return ScoredItems(parts, scores, ineligible, candidates)

    def score_similar(self, row: int, request: Request) -> ScoredItems:
        """Score items by their similarity to the item of this row, which itself is ineligible.

        A score is the sum of two standardised parts of equal weight: the cosine similarity of the
        texts, and co-occurrence by EASE and item-kNN. A cold item takes the co-occurrence of the
        warm items nearest to it in text; if `row` is cold, only the text counts.
        """

        def generate(count: int, *, sampled: bool) -> Rows:  # noqa: ARG001 - GenerateCandidates
            by_text = self.query.generate_similar(row, count)
            return sorted_union(rows, by_text, self.blend.generate_co_occurring(row, count))

        def contributions(candidates: Candidates) -> dict[str, Scores]:
            text = self.query.text_similarity(row, candidates)
            return {
                TEXT: standardise(text, candidates.sample_weight),
                CO_OCCURRENCE: self.blend.co_occurrence_scores(row, candidates),
            }

        rows, eligibility = np.array([row]), self._eligibility(request)
        candidates = self._candidates(
            request, eligibility, generate, lambda found: total_scores(contributions(found))
        )
        parts = contributions(candidates)
        own = candidates.positions(rows)
        ineligible = np.append(eligibility.ineligible_positions(candidates), own[own >= 0])
        return ScoredItems(parts, total_scores(parts), [ineligible], candidates)

    def score_popular(self, channel: str, request: Request) -> ScoredItems:
        """Score items by one channel that does not depend on a history."""
        eligibility, everyone = self._eligibility(request), self.blend.cold_start_scores(channel)

        def generate(count: int, *, sampled: bool) -> Rows:  # noqa: ARG001 - GenerateCandidates
            rows = eligibility.matching_rows
            if rows is None:
                return self.blend.top_of_channel(channel, count)
            return rows[top_positions(everyone[0, rows], count)]

        candidates = self._candidates(
            request, eligibility, generate, lambda found: everyone[:, found.rows]
        )
        scores = everyone[:, candidates.rows]
        ineligible = eligibility.ineligible_positions(candidates)
        return ScoredItems({channel: scores}, scores, [ineligible], candidates)

    def history(self, request: Request) -> InteractionHistory:
        """Return the positive history as the channels read it: without repeats if not allowed."""
        positive = request.history.positive
        return positive if self.repeats else positive.deduplicated()

    def _batch(self, requests: Sequence[Request]) -> RequestBatch:
        histories = [self.history(request) for request in requests]
        signals = [
            history.signals_at(request.epoch_seconds())
            for history, request in zip(histories, requests, strict=True)
        ]
        return RequestBatch([history.rows for history in histories], signals)

    def _blended_scores(
        self, request: Request, batch: RequestBatch, candidates: Candidates
    ) -> Scores:
        """Return the scores of one request by channels and query, `(1, candidates)`."""
        parts = self.blend.contributions(batch.with_candidates(candidates))
        return self.query.apply(parts, total_scores(parts), [request.query], candidates)[1]

    def _candidates(
        self,
        request: Request,
        eligibility: EligibilityFilter,
        generate: GenerateCandidates,
        score: Callable[[Candidates], Scores],
    ) -> Candidates:
        if self.retrieval is None:
            return ALL_ITEMS
        search = Search(generate, score, self.blend.add_cold_items, self.blend.add_neighbours)
        return self.retrieval.candidates(eligibility, request.k, search)

    def _generate(
        self, request: Request, batch: RequestBatch, count: int, *, sampled: bool
    ) -> Rows:
        """Return candidates of query and channels, and the most popular items of boosts and quotas.

        They are distinct and ascending, shape `(candidates,)`.
        """
        matches = self.query.generate_candidates(request.query, count)
        sparse_only = sampled or len(matches) > 0
        found = [matches, self.blend.generate_candidates(batch, count, sparse_only=sparse_only)]
        for mask in request.options.rules.affected_items(self.catalogue, self.availability):
            rows = np.flatnonzero(mask)
            popular = self.blend.cold_start_scores(POPULARITY)[0, rows]
            found.append(rows[top_positions(popular, count)])
        return sorted_union(*found)

    def _eligibility(self, request: Request) -> EligibilityFilter:
        return EligibilityFilter(
            self.catalogue,
            self.availability,
            request.exclude,
            request.history.hidden if self.repeats else request.history.seen,
            request.time,
            request.categories,
            request.conditions,
        )
