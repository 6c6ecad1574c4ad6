"""The ranker's say: its logits reorder the first places of the fast path, and nothing else.

Arrays only; where the logits come from does not matter here.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.models.ranking import Ranked
from recloop.models.scorer import Scores, standardise

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)


def mix(ranked: Ranked, scores: Scores, logits: Scores, weight: float) -> Scores:
    """`standardised score + weight · standardised logit`, `(requests, candidates)`.

    Candidates of a request are standardised among themselves; an empty rank (-1) stays `-inf`.
    """
    real = ranked >= 0
    mixed = _among(scores, real) + np.float32(weight) * _among(logits, real)
    return np.where(real, mixed, np.float32(-np.inf))


def rerank(ranked: Ranked, scores: Scores, logits: Scores, weight: float) -> tuple[Ranked, Scores]:
    """The same candidates in the order of their mixed scores, and these, best first.

    All arrays are `(requests, candidates)`; `ranked` and `scores` come best first. Equal scores
    keep their order, so weight 0 changes nothing.
    """
    mixed = mix(ranked, scores, logits, weight)
    order = np.argsort(-mixed, axis=1, kind="stable")
    return np.take_along_axis(ranked, order, 1), np.take_along_axis(mixed, order, 1)


def tune_weight(
    ranked: Ranked,
    scores: Scores,
    logits: Scores,
    quality: Callable[[Ranked], float],
    weights: Sequence[float] = WEIGHTS,
) -> tuple[float, float]:
    """The weight with the best `quality` of the reordered lists, and that quality.

    Weight 0 is always among the candidates, and wins unless another is better.
    """
    best, best_quality = 0.0, quality(ranked)
    for weight in weights:
        if (value := quality(rerank(ranked, scores, logits, weight)[0])) > best_quality:
            best, best_quality = weight, value
    return best, best_quality


def _among(values: Scores, real: NDArray[np.bool_]) -> Scores:
    """Standardised over the real entries of each row; the others are 0."""
    scaled = np.zeros(values.shape, np.float32)
    for row, mask in enumerate(real):
        if mask.any():
            scaled[row, mask] = standardise(values[row : row + 1, mask])[0]
    return scaled
