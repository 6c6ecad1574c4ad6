"""Calibration of cold items: how high they rank among warm items, at a bounded cost.

Validation data often have few cold items, or none, so some warm items are treated as cold. They are
chosen as often as before, which shows what cold items are worth and what promoting them costs. The
offset is the one with the largest NDCG@10 over all requests, among those that cost requests for
warm items at most a bounded share of theirs; it is larger if users chose truly cold items that
often in the validation data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import Hits, Values, ndcg
from recloop.scoring.cold_items import ColdItemCalibration, ColdItemScorer
from recloop.scoring.scorer import Scores, standard_deviation
from recloop.scoring.top_k import top_k

# Smallest share of the items that is treated as cold.
_SHARE = 0.1
# Largest relative loss of NDCG@10 on warm items that is accepted for promoting cold items.
_COST = 0.03
# Offsets that are tried, in standard deviations of the warm items' scores.
_SHIFTS, _NEVER = np.arange(-6.0, 6.0, 0.1), -1e6
# Weights of the words that are tried; the first one is kept if nothing shows which is best.
_WORDS = (0.1, 0.0, 0.05, 0.2, 0.4)
_K = 10

ScoreRequests = Callable[[Requests], Scores]


@dataclass(frozen=True)
class _Best:
    """The best items of one kind for each request, `(requests, k)`.

    Attributes:
        scores: Their scores, `-inf` for an empty rank.
        found: Whether each is relevant.
    """

    scores: Scores
    found: Hits


@dataclass(frozen=True)
class _Lists:
    """Best warm and best cold items of each request, for one weight of the words.

    Attributes:
        warm: The warm items.
        cold: The cold items, with scores that are not calibrated yet.
        spread: Standard deviation of the warm items' scores, `(requests, 1)`.
        scale: Factor that gives the cold items' scores the variance of warm ones.
    """

    warm: _Best
    cold: _Best
    spread: Scores
    scale: float

    def ndcg(self, offset: float, relevant: NDArray[np.int64]) -> Values:
        """Return NDCG of each request after both lists are merged, `(requests,)`."""
        new = self.scale * self.cold.scores + offset * self.spread
        order = np.argsort(-np.concatenate([self.warm.scores, new], 1), axis=1, kind="stable")
        found = np.concatenate([self.warm.found, self.cold.found], 1)
        return ndcg(np.take_along_axis(found, order[:, :_K], 1), relevant, _K)


def fit_cold_item_calibration(
    warm_scores: ScoreRequests,
    words: ScoreRequests | None,
    text: NDArray[np.float32],
    warm: NDArray[np.bool_],
    valid: Requests,
    seed: int,
    count: int,
) -> ColdItemCalibration:
    """Fit the calibration of cold items; without texts there is nothing to fit.

    Args:
        warm_scores: Returns the blended scores of warm items, `(requests, items)`.
        words: Returns the scores of the words channel, `(requests, items)`, if there is one.
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
    by_weight = _lists(warm_scores, words, scorer, new, valid)
    if not by_weight:
        return ColdItemCalibration()
    for_new = np.array([int(new[rows].sum()) for rows in valid.relevant])
    weight = max(by_weight, key=lambda each: ndcg(by_weight[each].cold.found, for_new, _K).sum())
    lists, counts = by_weight[weight], valid.relevant_counts()
    values = np.stack([lists.ndcg(float(shift), counts) for shift in _SHIFTS])
    has_warm = np.array([bool(shown[rows].any()) for rows in valid.relevant])
    # Requests for warm items that are treated as cold do not show how often cold ones are chosen.
    unaffected = np.array([bool((shown | ~warm)[rows].all()) for rows in valid.relevant])
    warm_only = lists.ndcg(_NEVER, counts)[has_warm].sum()
    affordable = values[:, has_warm].sum(1) >= (1 - _COST) * warm_only
    worth = np.where(affordable, values.sum(1), -np.inf)
    judged, chosen = (
        _SHIFTS[int(worth.argmax())],
        _SHIFTS[int(values[:, unaffected].sum(1).argmax())],
    )
    return ColdItemCalibration(scale=lists.scale, offset=float(max(judged, chosen)), words=weight)


def _new(warm: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.bool_]:
    """Return which items count as cold, `(items,)`: cold ones first, then warm ones at random."""
    rng, new = np.random.default_rng(seed), np.zeros_like(warm)
    order = [rng.permutation(np.flatnonzero(kind)) for kind in (~warm, warm)]
    new[np.concatenate(order)[:count]] = True
    return new


def _lists(
    warm_scores: ScoreRequests,
    words: ScoreRequests | None,
    scorer: ColdItemScorer,
    cold: NDArray[np.bool_],
    valid: Requests,
) -> dict[float, _Lists]:
    """Return the lists by weight of the words; none if all scores of cold items are alike."""
    weights = _WORDS if words is not None else (0.0,)
    with_text = cold[scorer.rows]
    warm, spread = _Collected(), []
    by_weight = {weight: _Collected() for weight in weights}
    for part in valid.batches(len(scorer.warm_weight)):
        scores = warm_scores(part)
        deviation = standard_deviation(scores, scorer.warm_weight)
        means = scorer.neighbour_mean(scores)
        own = 0.0 if words is None else deviation * scorer.relative_to_warm(words(part))
        warm.add(np.where(scorer.warm_weight, scores, -np.inf), part)
        for weight, collected in by_weight.items():
            basis = means + weight * own
            collected.count(basis[:, with_text])
            new = np.full_like(scores, -np.inf)
            new[:, scorer.rows] = np.where(with_text, basis, -np.inf)
            collected.add(new, part)
        spread.append(deviation)
    deviations, typical = np.concatenate(spread), float(np.median(np.concatenate(spread)))
    return {
        weight: _Lists(warm.best(), collected.best(), deviations, typical / collected.deviation())
        for weight, collected in by_weight.items()
        if collected.deviation() > 0
    }


class _Collected:
    """Best items and the variance of scores, collected batch by batch."""

    def __init__(self) -> None:
        self._scores: list[Scores] = []
        self._found: list[Hits] = []
        self._moments = np.zeros(3)

    def add(self, scores: Scores, part: Requests) -> None:
        """Add the best items of a batch by scores `(requests, items)`."""
        ranked, values = top_k(scores, part.excluded(), _K)
        self._scores.append(values)
        self._found.append(hits(ranked, part.relevant))

    def count(self, scores: Scores) -> None:
        """Count scores of any shape towards the standard deviation."""
        values = scores.astype(np.float64)
        self._moments += [values.size, values.sum(), np.square(values).sum()]

    def best(self) -> _Best:
        """Return the best items of all requests."""
        return _Best(np.concatenate(self._scores), np.concatenate(self._found))

    def deviation(self) -> float:
        """Return the standard deviation of all counted scores."""
        count, total, squares = self._moments
        return float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0)))
