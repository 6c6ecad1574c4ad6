"""Scores of cold items, taken from the scores of the warm items whose texts are most similar.

A channel that learns from interactions has no information about cold items: its scores of them are
artefacts. So all channels together score the warm items first, and cold items are scored from
these.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import Candidates, CandidateSet, sorted_union
from recloop.scoring.candidates.generators import top_positions
from recloop.scoring.scorer import Scores, standard_deviation
from recloop.scoring.text_neighbours import TextNeighbourIndex, TextNeighbours

# A standard deviation below this is rounding.
_MIN_DEVIATION = 1e-6


class ColdItemCalibration(BaseModel):
    """Calibration that places the scores of cold items among those of warm items.

    Attributes:
        scale: Factor on the mean of the neighbours, which varies less than single items do.
        offset: Added afterwards, in standard deviations of the request's warm scores.
        words: Weight of the item's own words, beside the mean of the neighbours.
    """

    scale: float = 1.0
    offset: float = 0.0
    words: float = 0.0


class ColdItemScorer:
    """Scores cold items by the weighted mean of their nearest warm items.

    Args:
        neighbour_weights: Weights of the warm neighbours, `(cold items, items)`; each row sums to
            1, or to 0 for an item without text.
        rows: Rows (or positions) of the cold items, ascending, `(cold items,)`.
        warm_weight: Whether an item is warm, or its sample weight, 0 for cold items; `(items,)`.
        calibration: Scale and offset of the scores.
    """

    def __init__(
        self,
        neighbour_weights: sparse.csr_matrix,
        rows: Rows,
        warm_weight: NDArray[np.bool_] | Scores,
        calibration: ColdItemCalibration,
    ) -> None:
        self.rows = rows
        self.warm_weight = warm_weight
        self.calibration = calibration
        self._neighbour_weights = neighbour_weights
        self._has_text = np.diff(neighbour_weights.indptr) > 0

    @classmethod
    def from_text(
        cls,
        text: NDArray[np.floating],
        warm: NDArray[np.bool_],
        calibration: ColdItemCalibration,
    ) -> "ColdItemScorer":
        """Build the scorer from the texts of all items.

        Args:
            text: Text vectors, `(items, width)`; zeros for an item without text.
            warm: Whether an item is warm, `(items,)`.
            calibration: Scale and offset of the scores.
        """
        return cls(_neighbour_weights(text, warm), np.flatnonzero(~warm), warm, calibration)

    def restricted_to(self, candidates: Candidates) -> "ColdItemScorer":
        """Return the scorer of the cold items among the candidates, with positions for rows.

        Neighbours that are not among the candidates are left out (see `add_neighbours`).
        """
        if not isinstance(candidates, CandidateSet):
            return self
        packaged = candidates.rows_below(len(self.warm_weight))
        chosen = self._cold_among(candidates.rows)
        weights = self._neighbour_weights[chosen]
        columns = packaged.positions(weights.indices.astype(np.int64))
        values = np.where(columns >= 0, weights.data, 0)
        shape = (len(chosen), len(packaged.rows))
        part = sparse.csr_matrix((values, np.maximum(columns, 0), weights.indptr), shape=shape)
        warm_weight = self.warm_weight[packaged.rows] * packaged.sample_weight
        positions = candidates.positions(self.rows[chosen])
        return ColdItemScorer(part, positions, warm_weight, self.calibration)

    def add_neighbours(self, rows: Rows) -> Rows:
        """Return the rows and the warm neighbours of the cold items among them.

        Args:
            rows: Rows, `(rows,)`.

        Returns:
            Distinct rows, ascending, `(rows and neighbours,)`.
        """
        neighbours = self._neighbour_weights[self._cold_among(rows)].indices
        return sorted_union(rows, neighbours.astype(np.int64))

    def related_cold_items(self, rows: Rows, at_most: int) -> Rows:
        """Return the cold items whose neighbours among `rows` have the largest total weight.

        Args:
            rows: Rows of warm items, `(rows,)`.
            at_most: Largest number of cold items.

        Returns:
            Rows of cold items, in any order, `(related cold items,)`.
        """
        neighbours = self._cold_weights[rows[rows < self._cold_weights.shape[0]]]
        total = np.bincount(neighbours.indices, neighbours.data, len(self.rows))
        support = total.astype(np.float32)
        related = np.flatnonzero(support)
        return self.rows[related[top_positions(support[related], at_most)]]

    def score_among(self, scores: Scores, words: Scores | None = None) -> Scores:
        """Score the cold items on the scale of the warm items' scores.

        Args:
            scores: Scores standardised over warm items, `(requests, items)`.
            words: Scores of the words channel, `(requests, items)`, if there is one.

        Returns:
            Calibrated scores, `(requests, cold items)`, float32. An item without text gets the
            lowest score of the request.
        """
        calibration, lowest = self.calibration, scores.min(1, keepdims=True, initial=0.0)
        deviation = standard_deviation(scores, self.warm_weight)
        basis = self.neighbour_mean(scores)
        if words is not None and calibration.words:
            basis = basis + calibration.words * deviation * self.relative_to_warm(words)
        calibrated = calibration.scale * basis + calibration.offset * deviation
        placed: Scores = np.where(self._has_text, calibrated, lowest).astype(np.float32)
        return placed

    def neighbour_mean(self, scores: Scores) -> Scores:
        """Return the weighted mean score of each cold item's neighbours, `(requests, cold items)`.

        Args:
            scores: Scores of the items, `(requests, items)`.
        """
        mean: Scores = (self._neighbour_weights @ scores.T).T
        return mean

    def relative_to_warm(self, scores: Scores) -> Scores:
        """Return the scores of cold items, standardised by those of the warm items.

        Args:
            scores: Scores of a channel that scores cold items too, `(requests, items)`.

        Returns:
            Scores `(requests, cold items)`; zeros where the channel scores all warm items alike.
        """
        weights = self.warm_weight.astype(np.float32)
        mean = scores @ weights / max(float(weights.sum()), 1.0)
        centred = scores[:, self.rows] - mean[:, None]
        deviation = standard_deviation(scores, self.warm_weight)
        relative: Scores = np.divide(
            centred, deviation, out=np.zeros_like(centred), where=deviation > _MIN_DEVIATION
        )
        return relative

    def _cold_among(self, rows: Rows) -> Rows:
        """Return the numbers, in `self.rows`, of the cold items among `rows`, `(cold rows,)`."""
        if not len(self.rows):
            return self.rows
        numbers = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        cold: Rows = numbers[self.rows[numbers] == rows]
        return cold

    @cached_property
    def _cold_weights(self) -> sparse.csr_matrix:
        """Weights by warm item, `(items, cold items)`."""
        return self._neighbour_weights.T.tocsr()


def _neighbour_weights(text: NDArray[np.floating], warm: NDArray[np.bool_]) -> sparse.csr_matrix:
    cold = text[~warm]
    with_text = np.flatnonzero((cold != 0).any(1))
    nearest = TextNeighbourIndex(text, warm).nearest(cold[with_text])
    rows = np.zeros((len(cold), nearest.rows.shape[1]), np.int64)
    weights = np.zeros(rows.shape, np.float32)
    rows[with_text], weights[with_text] = nearest.rows, nearest.weights
    return TextNeighbours(rows, weights).to_matrix(len(warm))
