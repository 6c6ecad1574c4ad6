"""Ranked lists from scores: the best items, lists by options, and reasons for each item."""

from dataclasses import dataclass, replace

import numpy as np

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.recommender.explanations import BOOST, HistoryStep, explain, explainable_steps
from recloop.recommender.history import InteractionHistory
from recloop.recommender.items.availability import ItemAvailability
from recloop.recommender.lists.list_builder import ListBuilder
from recloop.recommender.request import RankedItem, Request
from recloop.recommender.request_scorer import ScoredItems
from recloop.scoring.blend import Blend
from recloop.scoring.candidate_set import Candidates
from recloop.scoring.query.matcher import QueryMatcher
from recloop.scoring.scorer import Scores
from recloop.scoring.top_k import Ranked, top_k


@dataclass(frozen=True)
class RankedLists:
    """Makes the list of one request from scored items.

    Attributes:
        catalogue: Items and their rows.
        availability: Attributes of the items, for rules and calibration.
        blend: Co-occurrence of items, for reasons.
        query: Text similarity of items, for diversity and reasons.
    """

    catalogue: Catalogue
    availability: ItemAvailability
    blend: Blend
    query: QueryMatcher

    def best(self, scored: ScoredItems, k: int) -> list[RankedItem]:
        """Return at most k eligible items in descending order of their scores."""
        ranked, values = top_k(scored.scores, scored.ineligible, k)
        return self._items(ranked, values, scored)

    def built(
        self, scored: ScoredItems, request: Request, history: InteractionHistory
    ) -> list[RankedItem]:
        """Return at most k eligible items, chosen by the options of the request."""
        parts, scores, (ineligible,), candidates = scored
        rules = request.options.rules
        if rules.boosts:
            deltas = rules.score_deltas(self.catalogue, self.availability, candidates)[None]
            parts, scores = {**parts, BOOST: deltas}, scores + deltas
        eligible = scores[0].copy()
        eligible[ineligible] = -np.inf
        builder = ListBuilder(self.catalogue, self.availability, self.query, candidates)
        built = builder.build(request.options, eligible, request.k, history.rows)
        items = self._items(
            built.positions[None],
            scores[:, built.positions],
            scored._replace(contributions=parts),
        )
        return [
            replace(item, propensity=propensity)
            for item, propensity in zip(items, built.propensities, strict=True)
        ]

    def explained(
        self, items: list[RankedItem], history: InteractionHistory, candidates: Candidates
    ) -> list[RankedItem]:
        """Return the same items with reasons, which name items of the history."""
        positions = candidates.positions(self.catalogue.rows(item.item_id for item in items))
        kept = explainable_steps(history.rows)
        titles = self.catalogue.items[c.TITLE]
        steps = [
            HistoryStep(
                self.catalogue.ids[row],
                titles[row],
                int(event),
                self.blend.co_occurrence_scores(row, candidates)[0, positions],
                self.query.text_similarity(row, candidates)[0, positions],
            )
            for row, event in zip(history.rows[kept].tolist(), history.events[kept], strict=True)
        ]
        return [
            replace(item, reasons=explain(item.item_id, position, item.contributions, steps))
            for position, item in enumerate(items)
        ]

    def _items(self, ranked: Ranked, values: Scores, scored: ScoredItems) -> list[RankedItem]:
        """Return the items of the first list of `ranked` `(lists, k)`; -1 fills a short list."""
        barred = np.zeros(scored.scores.shape[1], np.bool_)
        barred[scored.ineligible[0]] = True
        kept = (ranked[0] >= 0) & ~barred[ranked[0]]
        positions, scores = ranked[0, kept], values[0, kept].tolist()
        parts = scored.contributions
        added = zip(*(part[0, positions].tolist() for part in parts.values()), strict=True)
        rows: list[int] = scored.candidates.rows_at(positions).tolist()
        return [
            RankedItem(self.catalogue.ids[row], score, dict(zip(parts, own, strict=True)))
            for row, score, own in zip(rows, scores, added, strict=True)
        ]


def rows_and_scores(scored: ScoredItems, k: int) -> tuple[Rows, Scores]:
    """Return the best k item rows and their scores, both `(requests, k)`; -1 fills short lists."""
    ranked, values = top_k(scored.scores, scored.ineligible, k)
    return np.where(ranked < 0, -1, scored.candidates.rows_at(ranked)), values
