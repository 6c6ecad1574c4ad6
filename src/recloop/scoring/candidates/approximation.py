"""Approximate scores from a few principal components of each item.

A blend is nearly linear in the item vectors of its channels. Once a few thousand items have been
scored, least squares on their principal components predicts the scores of all others.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import CandidateSet
from recloop.scoring.candidates.generators import top_positions
from recloop.scoring.scorer import Scores, dot_products, to_float32

_COMPONENTS = 64
_RIDGE = 1e-3
_INT8_MAX = np.float32(127)
# Items that are projected in one step.
_BATCH = 1 << 15


class ScoreApproximator:
    """Predicts blended scores by ridge regression on principal components of the item vectors.

    Args:
        components: Principal components of each item, `(items, components)`; the unit of a column
            is arbitrary.
    """

    def __init__(self, components: NDArray[np.number]) -> None:
        self.components = components

    @classmethod
    def fit(cls, matrices: Sequence[NDArray[np.floating]], sample: Rows) -> "ScoreApproximator":
        """Compute the principal components of several matrices of item vectors.

        Each matrix is scaled to rows of mean length 1, so that all channels count alike. Components
        are stored in 8 bits: an item's 64 components then fill one cache line.

        Args:
            matrices: Item vectors of each channel, `(items, width)`.
            sample: Rows from which scales and directions are estimated.
        """
        scales = [np.float32(_mean_norm(matrix[sample])) for matrix in matrices]

        def concatenated(rows: Rows | slice) -> Scores:
            parts = zip(matrices, scales, strict=True)
            return np.concatenate([to_float32(matrix[rows]) / scale for matrix, scale in parts], 1)

        sampled = concatenated(sample)
        _, directions = np.linalg.eigh(sampled.T @ sampled)
        chosen = directions[:, ::-1][:, :_COMPONENTS]
        starts = range(0, len(matrices[0]), _BATCH)
        components = np.concatenate([concatenated(slice(s, s + _BATCH)) @ chosen for s in starts])
        largest = np.maximum(np.abs(components).max(0, initial=0), np.float32(1e-9))
        components *= _INT8_MAX / largest
        return cls(components.round().astype(np.int8))

    def shortlist(self, candidates: CandidateSet, scores: Scores, rows: Rows, count: int) -> Rows:
        """Return the `count` rows with the highest predicted scores, in any order.

        Each scored item is weighted by the number of items that it stands for. Otherwise the
        candidates, which were chosen for extreme scores, would bias the regression.

        Args:
            candidates: The items that have been scored.
            scores: Their scores, `(candidates,)`.
            rows: Rows to choose from; rows added after packaging are left out.
            count: Largest number of rows to return.
        """
        rows = rows[rows < len(self.components)]
        if len(rows) <= count:
            return rows
        scored = candidates.rows_below(len(self.components))
        features = np.pad(
            to_float32(self.components.take(scored.rows, axis=0)),
            ((0, 0), (0, 1)),
            constant_values=1,  # the intercept
        )
        weighted = features.T * scored.sample_weight
        gram = weighted @ features
        identity = np.eye(len(gram), dtype=np.float32)
        ridge = np.float32(_RIDGE * np.trace(gram) / len(gram)) * identity
        coefficients = np.linalg.solve(gram + ridge, weighted @ scores[: len(scored.rows)])
        unscored = CandidateSet(rows, np.ones(len(rows), np.float32))
        predicted = dot_products(coefficients[None, :-1], self.components, unscored)[0]
        return rows[top_positions(predicted, count)]


def _mean_norm(vectors: NDArray[np.floating]) -> float:
    if not len(vectors):
        return 1
    return max(float(np.linalg.norm(to_float32(vectors), axis=1).mean()), 1e-9)
