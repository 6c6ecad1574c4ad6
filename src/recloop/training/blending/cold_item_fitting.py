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

# Of the items, at least this share is asked about as new.
_SHARE = 0.1
# Of NDCG@10 on known items, what it may cost that new ones are shown.
_COST = 0.01
# In spreads of the known items' scores.
_SHIFTS, _NEVER = np.arange(-6.0, 6.0, 0.1), -1e6
_K = 10


@dataclass(frozen=True)
class _Lists:
    """Best warm and best cold items of each request: scores, and whether each is relevant."""

    known: Scores
    worth: Scores
    spread: Scores
    found: Hits
    deviation: float

    def ndcg(self, terms: ColdItemCalibration, relevant: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return NDCG of each request after both lists are merged, `(requests,)`."""
        new = terms.scale * self.worth + terms.offset * self.spread
        order = np.argsort(-np.concatenate([self.known, new], 1), axis=1, kind="stable")
        return ndcg(np.take_along_axis(self.found, order[:, :_K], 1), relevant, _K)


def fit_newcomers(
    of_known: Callable[[Requests], Scores],
    text: NDArray[np.float32],
    known: NDArray[np.bool_],
    valid: Requests,
    seed: int,
    count: int,
) -> ColdItemCalibration:
    """Fit scale and shift of the scores of cold items; without texts there is nothing to fit.

    Args:
        of_known: Returns the blended scores of warm items, `(requests, items)`.
        text: Text vectors, `(items, width)`.
        known: Whether the channels have seen an item, `(items,)`.
        valid: Validation requests.
        seed: Seed of the items that are treated as cold.
        count: Number of cold items to expect.
    """
    new = _new(known, max(count, round(_SHARE * len(known))), seed)
    shown = known & ~new
    newcomers = ColdItemScorer.from_text(text, shown, ColdItemCalibration())
    new &= text.any(1)
    if not new.any():
        return ColdItemCalibration()
    lists = _lists(of_known, newcomers, new, valid)
    if lists.deviation == 0:
        return ColdItemCalibration()
    stretch = float(np.median(lists.spread)) / lists.deviation
    counts = valid.counts()
    # Requests that are about what is treated as new say nothing of how often that happens.
    answered = np.array([bool(shown[rows].any()) for rows in valid.relevant])
    honest = np.array([bool((shown | ~known)[rows].all()) for rows in valid.relevant])

    def quality(shift: float) -> NDArray[np.float64]:
        return lists.ndcg(ColdItemCalibration(scale=stretch, offset=shift), counts)

    values = np.stack([quality(float(shift)) for shift in _SHIFTS])
    known_only = quality(_NEVER)[answered].sum()
    cost = values[:, answered].sum(1) < (1 - _COST) * known_only
    bounded = _SHIFTS[max(int(np.argmax(cost)) - 1, 0)] if cost.any() else 0.0
    wanted = _SHIFTS[int(values[:, honest].sum(1).argmax())]
    return ColdItemCalibration(scale=stretch, offset=float(max(bounded, wanted)))


def _new(known: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """Return which items count as cold, `(items,)`: cold ones first, then warm ones at random."""
    rng, new = np.random.default_rng(seed), np.zeros_like(known)
    order = [rng.permutation(np.flatnonzero(kind)) for kind in (~known, known)]
    new[np.concatenate(order)[:count]] = True
    return new


def _lists(
    of_known: Callable[[Requests], Scores],
    newcomers: ColdItemScorer,
    asked: NDArray[np.bool_],
    valid: Requests,
) -> _Lists:
    known, worth, spread, found, moments = [], [], [], [], np.zeros(3)
    described = asked[newcomers.rows]
    for part in valid.parts(len(newcomers.warm_weight)):
        scores = of_known(part)
        said = newcomers.neighbour_mean(scores)
        told = said[:, described].astype(np.float64)
        moments += [told.size, told.sum(), np.square(told).sum()]
        new = np.full_like(scores, -np.inf)
        new[:, newcomers.rows] = np.where(described, said, -np.inf)
        old = np.where(newcomers.warm_weight, scores, -np.inf)
        ranked = [top_k(kind, part.forbidden(), _K) for kind in (old, new)]
        known.append(ranked[0][1])
        worth.append(ranked[1][1])
        spread.append(standard_deviation(scores, newcomers.warm_weight))
        found.append(hits(np.concatenate([rows for rows, _ in ranked], 1), part.relevant))
    count, total, squares = moments
    return _Lists(
        np.concatenate(known),
        np.concatenate(worth),
        np.concatenate(spread),
        np.concatenate(found),
        float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))),
    )
