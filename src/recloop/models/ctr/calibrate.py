"""From scores to probabilities."""

from dataclasses import dataclass

import numpy as np

from recloop.models.ctr.bias import sigmoid
from recloop.models.ctr.log import Doubles, Floats

_STEPS = 25
_RIDGE = 5.0
_TINY = 1e-9


@dataclass(frozen=True)
class Calibration:
    """`probability = sigmoid(slope · (score − centre) / spread + offset)` (Platt 1999)."""

    centre: float
    spread: float
    slope: float
    offset: float

    def __call__(self, scores: Doubles) -> Doubles:
        return sigmoid(self.slope * (scores - self.centre) / self.spread + self.offset)


def fit_calibration(scores: Doubles, labels: Floats, *, log_odds: bool = False) -> Calibration:
    """By Newton's method, with a small ridge that keeps separable data finite.

    The ridge draws towards the scores as they are where they are `log_odds`, else towards a constant.
    The slope is not let below zero: calibration never turns an order round.
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
