"""Calibration: converts scores to probabilities.

The Newton steps are written here, since scikit-learn's logistic regression draws the coefficients
to zero, not to a prior.
"""

from dataclasses import dataclass

import numpy as np

from recloop.ctr.log import Doubles, Floats
from recloop.ctr.models.additive import sigmoid

_STEPS = 25
_RIDGE = 5.0
_TINY = 1e-9


@dataclass(frozen=True)
class Calibration:
    """Fitted calibration, `probability = sigmoid(slope · (score − centre) / spread + offset)`.

    Reference:
        Platt 1999, "Probabilistic Outputs for Support Vector Machines".
    """

    centre: float
    spread: float
    slope: float
    offset: float

    def __call__(self, scores: Doubles) -> Doubles:
        """Return the probability of each score, `(rows,)`."""
        return sigmoid(self.slope * (scores - self.centre) / self.spread + self.offset)


def fit_calibration(scores: Doubles, labels: Floats, *, log_odds: bool = False) -> Calibration:
    """Fit a calibration by Newton's method.

    A small ridge penalty keeps the result finite for separable data. The slope is at least zero, so
    calibration never reverses an order.

    Args:
        scores: Scores, `(rows,)`.
        labels: 0 or 1, `(rows,)`.
        log_odds: Whether scores are log-odds: the penalty then draws to the scores as they are,
            otherwise to a constant.
    """
    centre, spread = float(scores.mean()), float(max(scores.std(), _TINY))
    design = np.column_stack([(scores - centre) / spread, np.ones(len(scores))])
    prior = np.array([spread, centre]) if log_odds else np.zeros(2)
    found = prior.copy()
    for _ in range(_STEPS):
        p = sigmoid(design @ found)
        slope = design.T @ (labels - p) - _RIDGE * (found - prior)
        found += np.linalg.solve(
            (design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(2), slope
        )
    return Calibration(centre, spread, max(float(found[0]), _TINY), float(found[1]))
