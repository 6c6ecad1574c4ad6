"""Ridge logistic regression on standardised features: what trees are steadied with where rows are few."""

import numpy as np

from recloop.models.ctr.bias import sigmoid
from recloop.models.ctr.log import Doubles, Floats

_STEPS = 12
_CLIP = 4.0
_TINY = 1e-6


class Linear:
    """`log-odds = standardised features · slopes + intercept`; an unknown feature counts as average."""

    def __init__(self, features: Floats, labels: Floats, l2: float) -> None:
        known = np.isfinite(features)
        count = np.maximum(known.sum(0), 1)
        self._mean = np.where(known, features, 0).sum(0, dtype=np.float64) / count
        square = np.where(known, features - self._mean, 0.0) ** 2
        self._spread = np.sqrt(square.sum(0) / count) + _TINY
        design = self._design(features)
        penalty = np.full(design.shape[1], l2)
        penalty[-1] = _TINY
        self._slopes = np.zeros(design.shape[1])
        for _ in range(_STEPS):
            p = sigmoid(design @ self._slopes)
            curve = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty)
            slope = design.T @ (labels - p) - penalty * self._slopes
            self._slopes += np.linalg.solve(curve, slope)

    def scores(self, features: Floats) -> Doubles:
        """Log-odds, `(rows,)`."""
        scores: Doubles = self._design(features) @ self._slopes
        return scores

    def _design(self, features: Floats) -> Doubles:
        scaled = np.nan_to_num((features - self._mean) / self._spread, posinf=0.0, neginf=0.0)
        return np.column_stack([np.clip(scaled, -_CLIP, _CLIP), np.ones(len(features))])
