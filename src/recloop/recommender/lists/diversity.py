"""Marginal utility of a candidate: its score, its similarity to chosen items, and calibration.

    u(i | S) = (1 - c) · relevance(i | S) - c · KL(p ‖ q(S ∪ {i}))
    relevance(i | S) = (1 - d) · r(i) - d · max over j in S of cos(i, j)

r is the score, scaled to 0…1 over the candidates; p are the categories of the history and q those
of the list, to which an item with n categories contributes 1/n each. With d this is maximal
marginal relevance (Carbonell and Goldstein 1998), with c the greedy form of calibrated
recommendations (Steck 2018). The result is multiplied by the range of the scores, so that it has
their unit.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

# Share of p that is mixed into q, so that the divergence stays finite if the list lacks a category.
_SMOOTHING = 0.01


class MarginalUtility:
    """Marginal utility of n candidates; without diversity and calibration, their scores.

    Args:
        scores: Scores, shape `(n,)`.
        diversity: Weight d, 0 to 1.
        vectors: Text vectors of the candidates, shape `(n, width)`; needed for diversity.
        calibration: Weight c, 0 to 1.
        categories: Categories of each candidate; needed for calibration.
        history_categories: Categories of each item of the history.

    Reference:
        Carbonell and Goldstein (1998), The Use of MMR; Steck (2018), Calibrated Recommendations.
    """

    def __init__(
        self,
        scores: Floats,
        diversity: float = 0.0,
        vectors: Floats | None = None,
        calibration: float = 0.0,
        categories: Sequence[Sequence[str]] = (),
        history_categories: Sequence[Sequence[str]] = (),
    ) -> None:
        self._scores = scores
        self._spread = float(np.ptp(scores)) or 1.0
        self._diversity = diversity
        self._cosines = None if not diversity or vectors is None else cosines(vectors)
        names = sorted({name for own in history_categories for name in own}) if calibration else []
        self._calibration = calibration if names else 0.0
        self._shares = category_shares(categories, names) if names else None
        self._taste = _total(category_shares(history_categories, names)) if names else None

    def given(self, taken: Places) -> Floats:
        """Return the utilities, shape `(n,)`, after the candidates `taken` are chosen."""
        if self._cosines is None and self._shares is None:
            return self._scores
        relevance = (self._scores - self._scores.min()) / self._spread
        if self._cosines is not None:
            repeated = self._cosines[:, taken].max(1) if len(taken) else 0.0
            relevance = (1 - self._diversity) * relevance - self._diversity * repeated
        useful = (1 - self._calibration) * relevance - self._calibration * self._imbalance(taken)
        return np.asarray(self._spread * useful, np.float64)

    def _imbalance(self, taken: Places) -> Floats | float:
        if self._shares is None or self._taste is None:
            return 0.0
        lists = (self._shares[taken].sum(0) + self._shares) / (len(taken) + 1)
        smooth = (1 - _SMOOTHING) * lists + _SMOOTHING * self._taste
        divergence: Floats = (self._taste * np.log(self._taste / smooth)).sum(1)
        return divergence


def cosines(vectors: Floats) -> Floats:
    """Return cosine similarities, shape `(n, n)`; a vector of zeros has similarity 0 to all."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(norms, 1e-9)
    return np.asarray(units @ units.T, np.float64)


def category_shares(categories: Sequence[Sequence[str]], names: Sequence[str]) -> Floats:
    """Return the share of each category in each item, 1/n of n, shape `(items, names)`."""
    column = {name: number for number, name in enumerate(names)}
    found = np.zeros((len(categories), len(names)))
    for row, own in enumerate(categories):
        for name in own:
            if name in column:
                found[row, column[name]] += 1 / len(own)
    return found


def _total(found: Floats) -> Floats:
    summed: Floats = found.sum(0)
    return np.asarray(summed / summed.sum(), np.float64)
