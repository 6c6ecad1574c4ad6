"""Mixing of the blend's scores with the ranker's logits, which reorder the first places of a list.

Arrays only; where the logits come from does not matter here.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.scorer import Scores, standardise
from recloop.scoring.top_k import Ranked

WEIGHT_GRID = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)


def mixed_scores(ranked: Ranked, scores: Scores, logits: Scores, weight: float) -> Scores:
    """Return standardised score + weight · standardised logit, `(requests, candidates)`, float32.

    Args:
        ranked: Rows of the candidates, `(requests, candidates)`; -1 is an empty rank.
        scores: Their scores.
        logits: Their logits.
        weight: Weight of the logits.

    Returns:
        Mixed scores; both parts are standardised over the candidates of a request. Empty ranks get
        minus infinity.
    """
    filled = ranked >= 0
    mixed = _standardise_filled(scores, filled) + np.float32(weight) * _standardise_filled(
        logits, filled
    )
    return np.where(filled, mixed, np.float32(-np.inf))


def rerank(ranked: Ranked, scores: Scores, logits: Scores, weight: float) -> tuple[Ranked, Scores]:
    """Return the candidates and their mixed scores, in descending order of the mixed scores.

    All arrays are `(requests, candidates)`; `ranked` and `scores` are sorted best first. Equal
    scores keep their order, so weight 0 changes nothing.
    """
    mixed = mixed_scores(ranked, scores, logits, weight)
    order = np.argsort(-mixed, axis=1, kind="stable")
    return np.take_along_axis(ranked, order, 1), np.take_along_axis(mixed, order, 1)


def tune_weight(
    ranked: Ranked,
    scores: Scores,
    logits: Scores,
    quality: Callable[[Ranked], float],
    weights: Sequence[float] = WEIGHT_GRID,
) -> tuple[float, float]:
    """Return the weight of the logits with the best quality of the lists, and that quality.

    Args:
        ranked: Rows of the candidates, `(requests, candidates)`, best first.
        scores: Their scores.
        logits: Their logits.
        quality: Measures reordered lists; higher is better.
        weights: Weights to try. Weight 0 is always tried, and wins unless another one is better.
    """
    best, best_quality = 0.0, quality(ranked)
    for weight in weights:
        if (value := quality(rerank(ranked, scores, logits, weight)[0])) > best_quality:
            best, best_quality = weight, value
    return best, best_quality


def _standardise_filled(values: Scores, filled: NDArray[np.bool_]) -> Scores:
    """Standardise each row of `(requests, ranks)` over its filled ranks; the others get 0."""
    scaled = np.zeros(values.shape, np.float32)
    for row, mask in enumerate(filled):
        if mask.any():
            scaled[row, mask] = standardise(values[row : row + 1, mask])[0]
    return scaled
