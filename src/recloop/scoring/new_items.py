"""Blend over a catalogue that has grown since the model was packaged. Nothing is trained here."""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.blend import COLD_ITEM, Blend, total_scores
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, sorted_union
from recloop.scoring.candidates.generators import memoised_per_request
from recloop.scoring.cold_items import ColdItemScorer
from recloop.scoring.scorer import RequestBatch, Scores, ScoringRequests, signals_or_unknown
from recloop.scoring.text_neighbours import TextNeighbours


class BlendWithNewItems(Blend):
    """Packaged blend plus new items, whose rows follow those of the package.

    New items are scored as cold items. In a history, the nearest packaged item takes their place.

    Args:
        blend: The packaged blend.
        nearest: Nearest packaged items of each new item, by text, `(new items, neighbours)`.
    """

    def __init__(self, blend: Blend, nearest: TextNeighbours) -> None:
        super().__init__(blend.channels, blend.weights, blend.cold_items, blend.generators)
        packaged = len(blend.cold_items.warm_weight)
        self._packaged, self._items = packaged, packaged + len(nearest.rows)
        self._new_items = ColdItemScorer(
            nearest.to_matrix(packaged),
            np.arange(packaged, self._items),
            blend.cold_items.warm_weight,
            blend.cold_items.calibration,
        )
        self._replacement = np.concatenate([np.arange(packaged), _closest(nearest)])
        self._translated = memoised_per_request(self._translate)

    def contributions(self, requests: ScoringRequests) -> dict[str, Scores]:
        """Return what each channel adds to the scores, each `(requests, candidates)`.

        New items have the contribution `COLD_ITEM` only.
        """
        candidates = requests.candidates
        packaged = super().contributions(self._packaged_requests(requests))
        scores = total_scores({name: part for name, part in packaged.items() if name != COLD_ITEM})
        extended = {name: self._extend(part, candidates) for name, part in packaged.items()}
        if COLD_ITEM not in extended:
            extended[COLD_ITEM] = self._extend(np.zeros_like(scores), candidates)
        new_items = self._new_items.restricted_to(candidates)
        extended[COLD_ITEM][:, scores.shape[1] :] = new_items.score_among(scores)
        return extended

    def generate_candidates(
        self, requests: ScoringRequests, count: int, *, sparse_only: bool = False
    ) -> Rows:
        """Return the package's candidates and related new items, ascending, `(candidates,)`."""
        packaged = self._packaged_requests(requests)
        return super().generate_candidates(packaged, count, sparse_only=sparse_only)

    def generate_co_occurring(self, row: int, count: int) -> Rows:
        """Return the package's co-occurring candidates, `(candidates,)`; none for a new item."""
        if row >= self._packaged:
            return np.empty(0, np.int64)
        return super().generate_co_occurring(row, count)

    def add_neighbours(self, rows: Rows) -> Rows:
        """Return the rows and the warm neighbours by which cold items among them are scored.

        They are distinct and ascending, `(rows and neighbours,)`.
        """
        return self._new_items.add_neighbours(super().add_neighbours(rows))

    def co_occurrence_scores(self, row: int, candidates: Candidates = ALL_ITEMS) -> Scores:
        """Score how often users interact with the candidates and with this item, `(1, candidates)`.

        A new item has no interactions, so its scores are all 0.
        """
        if row >= self._packaged:
            return np.zeros((1, candidates.size(self._items)), np.float32)
        scores = super().co_occurrence_scores(row, candidates.rows_below(self._packaged))
        extended, new_items = self._extend(scores, candidates), self._new_items
        extended[:, scores.shape[1] :] = new_items.restricted_to(candidates).neighbour_mean(scores)
        return extended

    def _score_empty_history(self, channel: str) -> Scores:
        return self._extend(super()._score_empty_history(channel), ALL_ITEMS)

    def add_cold_items(self, rows: Rows, count: int) -> Rows:
        """Return the rows, the related cold items of the package, and `count` related new items.

        They are distinct and ascending, `(rows, cold items and new items,)`.
        """
        extended = super().add_cold_items(rows, count)
        return sorted_union(extended, self._new_items.related_cold_items(extended, count))

    def _extend(self, scores: Scores, candidates: Candidates) -> Scores:
        """Return scores `(requests, candidates)`, with zeros for the new items at the end."""
        extended = np.zeros((len(scores), candidates.size(self._items)), np.float32)
        extended[:, : scores.shape[1]] = scores
        return extended

    def _packaged_requests(self, requests: ScoringRequests) -> RequestBatch:
        """Return the requests with packaged items only, in histories and candidates."""
        candidates = requests.candidates.rows_below(self._packaged)
        return self._translated(requests).with_candidates(candidates)

    def _translate(self, requests: ScoringRequests) -> RequestBatch:
        """Replace new items in the histories; unchanged histories keep their memo."""
        histories, signals, times = requests.histories, requests.signals, requests.request_times
        if all((history < self._packaged).all() for history in histories):
            return RequestBatch(histories, signals, times, memo=requests.memo)
        replaced = [self._replacement[history] for history in histories]
        if all((history >= 0).all() for history in replaced):
            return RequestBatch(replaced, signals, times)
        # Steps whose item has no packaged neighbour are left out.
        steps = zip(replaced, signals_or_unknown(requests), strict=True)
        return RequestBatch(
            [history[history >= 0] for history in replaced],
            [own[history >= 0] for history, own in steps],
            times,
        )


def _closest(nearest: TextNeighbours) -> Rows:
    """Return the packaged item with the largest weight for each new item, `(new items,)`.

    It is -1 for a new item without neighbours.
    """
    if not nearest.rows.size:
        return np.full(len(nearest.rows), -1, np.int64)
    best: NDArray[np.int64] = nearest.weights.argmax(1)[:, None]
    closest = np.take_along_axis(nearest.rows, best, 1)[:, 0]
    weight = np.take_along_axis(nearest.weights, best, 1)[:, 0]
    return np.where(weight > 0, closest, -1)
