"""How useful a candidate is once some have been taken: its score, what it repeats, what is out of balance.

    u(i | S) = (1 - c) · ((1 - d) · r(i) - d · max over j in S of cos(i, j)) - c · KL(p ‖ q(S ∪ {i}))

r is the score, brought to 0…1 over the candidates. With d it is maximal marginal relevance (Carbonell and
Goldstein 1998), with c the greedy form of calibrated recommendations (Steck 2018): p are the categories
of the history and q those of the list, of which an item with n has 1/n each. All of it is multiplied by
the spread of the scores, so that its unit is that of the scores.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

# The share of p in q, without which a category that the list does not have would cost infinitely much.
_SMOOTHING = 0.01


class Usefulness:
    """Of candidates with `scores` `(n,)`. With diversity and calibration of 0: the scores themselves.

    `vectors` `(n, width)` are of their texts; `categories` is for each candidate, `tastes` for each
    item of the history.
    """

    def __init__(
        self,
        scores: Floats,
        diversity: float = 0.0,
        vectors: Floats | None = None,
        calibration: float = 0.0,
        categories: Sequence[Sequence[str]] = (),
        tastes: Sequence[Sequence[str]] = (),
    ) -> None:
        self._scores = scores
        self._spread = float(np.ptp(scores)) or 1.0
        self._diversity = diversity
        self._cosines = None if not diversity or vectors is None else cosines(vectors)
        names = sorted({name for own in tastes for name in own}) if calibration else []
        self._calibration = calibration if names else 0.0
        self._shares = shares(categories, names) if names else None
        self._taste = _total(shares(tastes, names)) if names else None

    def of(self, taken: Places) -> Floats:
        """`(n,)`, after the candidates in these places."""
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
    """`(n, n)`; a vector of zeros is like nothing."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(norms, 1e-9)
    return np.asarray(units @ units.T, np.float64)


def shares(categories: Sequence[Sequence[str]], names: Sequence[str]) -> Floats:
    """`(items, names)`: 1/n for each of an item's n categories."""
    place = {name: number for number, name in enumerate(names)}
    found = np.zeros((len(categories), len(names)))
    for row, own in enumerate(categories):
        for name in own:
            if name in place:
                found[row, place[name]] += 1 / len(own)
    return found


def _total(found: Floats) -> Floats:
    summed: Floats = found.sum(0)
    return np.asarray(summed / summed.sum(), np.float64)
