"""Weights of channels as a conditional logit (McFadden 1974): the choice that was made, explained.

Smooth in its weights and told by every request, it chooses more steadily than a search for the best
NDCG, whose steps are single requests.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Choices:
    """What was chosen, and among what.

    `values` `(requests, candidates, channels)`; `chosen` `(requests, candidates)`, each row sums to one
    over what was chosen; `absent` `(requests, candidates)`, where there is no candidate.
    """

    values: NDArray[np.float32]
    chosen: NDArray[np.float32]
    absent: NDArray[np.bool_]

    @classmethod
    def of(cls, values: NDArray[np.float32], chosen: NDArray[np.float32]) -> "Choices":
        """From values that are `-inf` in all channels where there is no candidate."""
        absent = np.isneginf(values[:, :, 0])
        return cls(np.where(absent[:, :, None], 0.0, values).astype(np.float32), chosen, absent)

    def take(self, rows: NDArray[np.int64]) -> "Choices":
        """Of these requests."""
        return Choices(self.values[rows], self.chosen[rows], self.absent[rows])

    def surprise(self, weights: Weights) -> NDArray[np.float64]:
        """Negative log-likelihood `(requests,)` of what was chosen."""
        return self._surprise(weights)[0]

    def gradient(self, weights: Weights) -> tuple[float, Weights]:
        """Mean surprise, and what it grows by with each weight."""
        surprise, odds = self._surprise(weights)
        slope = np.einsum("rc,rck->k", odds - self.chosen, self.values) / len(self.values)
        return float(surprise.mean()), slope

    def _surprise(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        scores = np.where(self.absent, -np.inf, self.values @ weights.astype(np.float32))
        top = scores.max(1, keepdims=True)
        odds = np.exp(scores - top)
        total = odds.sum(1, keepdims=True)
        wanted = np.einsum("rc,rc->r", self.chosen, np.where(self.absent, 0.0, scores))
        return (top + np.log(total))[:, 0] - wanted, odds / total


def fit_logit(choices: Choices, l2: float = 1e-4, towards: Weights | None = None) -> Weights:
    """Non-negative weights `(channels,)` that make what was chosen likely.

    `l2` is how strongly they are pulled `towards` others, by default zero.
    """
    centre = np.zeros(choices.values.shape[2]) if towards is None else towards

    def loss(weights: Weights) -> tuple[float, Weights]:
        surprise, slope = choices.gradient(weights)
        off = weights - centre
        return surprise + l2 * float(off @ off), slope + 2 * l2 * off

    start = np.full(len(centre), 0.5) if towards is None else towards
    bounds = [(0.0, None)] * len(centre)
    found: Weights = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found
