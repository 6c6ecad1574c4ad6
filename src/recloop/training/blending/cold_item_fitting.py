"""Calibration of cold items: how high they rank among warm items, at a bounded cost.

Validation data often have few cold items, so some warm items are treated as cold. The shift is the
largest at which requests for warm items lose a hundredth of their quality, or a larger one if users
chose cold items that often in the validation data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Hits, ndcg
from recloop.scoring.cold_items import ColdItemCalibration, ColdItemScorer
from recloop.scoring.scorer import Scores, standard_deviation
from recloop.scoring.top_k import top_k

# Smallest share of the items that is treated as cold.
_SHARE = 0.1
# Largest relative loss of NDCG@10 on warm items that is accepted for promoting cold items.
_COST = 0.01
# Offsets that are tried, in standard deviations of the warm items' scores.
_SHIFTS, _NEVER = np.arange(-6.0, 6.0, 0.1), -1e6
_K = 10


@dataclass(frozen=True)
class _Lists:
    """Best warm and best cold items of each request: scores, and whether each is relevant."""

    warm: Scores
    cold: Scores
    spread: Scores
    found: Hits
    deviation: float

    def ndcg(self, terms: ColdItemCalibration, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return NDCG of each request after both lists are merged, `(requests,)`."""
        new = terms.scale * self.cold + terms.offset * self.spread
        order = np.argsort(-np.concatenate([self.warm, new], 1), axis=1, kind="stable")
        return ndcg(np.take_along_axis(self.found, order[:, :_K], 1), relevant, _K)


def fit_cold_item_calibration(
    warm_scores: Callable[[Requests], Scores],
    text: NDArray[np.float32],
    warm: NDArray[np.bool_],
    valid: Requests,
    seed: int,
    count: int,
) -> ColdItemCalibration:
    """Fit scale and shift of the scores of cold items; without texts there is nothing to fit.

    Args:
        warm_scores: Returns the blended scores of warm items, `(requests, items)`.
        text: Text vectors, `(items, width)`.
        warm: Whether the channels have seen an item, `(items,)`.
        valid: Validation requests.
        seed: Seed of the items that are treated as cold.
        count: Number of cold items to expect.
    """
    new = _new(warm, max(count, round(_SHARE * len(warm))), seed)
    shown = warm & ~new
    scorer = ColdItemScorer.from_text(text, shown, ColdItemCalibration())
    new &= text.any(1)
    if not new.any():
        return ColdItemCalibration()
    lists = _lists(warm_scores, scorer, new, valid)
    if lists.deviation == 0:
        return ColdItemCalibration()
    scale = float(np.median(lists.spread)) / lists.deviation
    counts = valid.relevant_counts()
    # Requests for warm items that are treated as cold do not show how often cold ones are chosen.
    has_warm = np.array([bool(shown[rows].any()) for rows in valid.relevant])
    unaffected = np.array([bool((shown | ~warm)[rows].all()) for rows in valid.relevant])

    def quality(shift: float) -> NDArray[np.float64]:
        return lists.ndcg(ColdItemCalibration(scale=scale, offset=shift), counts)

    values = np.stack([quality(float(shift)) for shift in _SHIFTS])
    warm_only = quality(_NEVER)[has_warm].sum()
    cost = values[:, has_warm].sum(1) < (1 - _COST) * warm_only
    bounded = _SHIFTS[max(int(np.argmax(cost)) - 1, 0)] if cost.any() else 0.0
    best = _SHIFTS[int(values[:, unaffected].sum(1).argmax())]
    return ColdItemCalibration(scale=scale, offset=float(max(bounded, best)))


def _new(warm: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """Return which items count as cold, `(items,)`: cold ones first, then warm ones at random."""
    rng, new = np.random.default_rng(seed), np.zeros_like(warm)
    order = [rng.permutation(np.flatnonzero(kind)) for kind in (~warm, warm)]
    new[np.concatenate(order)[:count]] = True
    return new


def _lists(
    warm_scores: Callable[[Requests], Scores],
    scorer: ColdItemScorer,
    cold: NDArray[np.bool_],
    valid: Requests,
) -> _Lists:
    warm, placed, spread, found, moments = [], [], [], [], np.zeros(3)
    with_text = cold[scorer.rows]
    for part in valid.batches(len(scorer.warm_weight)):
        scores = warm_scores(part)
        means = scorer.neighbour_mean(scores)
        finite = means[:, with_text].astype(np.float64)
        moments += [finite.size, finite.sum(), np.square(finite).sum()]
        new = np.full_like(scores, -np.inf)
        new[:, scorer.rows] = np.where(with_text, means, -np.inf)
        old = np.where(scorer.warm_weight, scores, -np.inf)
        ranked = [top_k(kind, part.excluded(), _K) for kind in (old, new)]
        warm.append(ranked[0][1])
        placed.append(ranked[1][1])
        spread.append(standard_deviation(scores, scorer.warm_weight))
        found.append(hits(np.concatenate([rows for rows, _ in ranked], 1), part.relevant))
    count, total, squares = moments
    return _Lists(
        np.concatenate(warm),
        np.concatenate(placed),
        np.concatenate(spread),
        np.concatenate(found),
        float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))),
    )
