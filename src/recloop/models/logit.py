"""Weights of channels as a conditional logit (McFadden 1974): the choice that was made, explained.

Smooth in its weights and told by every request, it chooses more steadily than a search for the best
NDCG, whose steps are single requests.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Weights = NDArray[np.float64]


def fit_logit(
    choices: NDArray[np.float32], chosen: NDArray[np.float32], l2: float = 1e-4
) -> Weights:
    """Non-negative weights `(channels,)` that make what was chosen likely.

    Args:
        choices: `(requests, candidates, channels)`; `-inf` in all channels where there is no candidate.
        chosen: `(requests, candidates)`, each row sums to one over what was chosen.
        l2: pull of the weights towards zero.
    """
    absent = np.isneginf(choices[:, :, 0])
    values = np.where(absent[:, :, None], 0.0, choices).astype(np.float32)
    wanted = np.einsum("rc,rck->k", chosen, values) / len(values)

    def loss(weights: Weights) -> tuple[float, Weights]:
        scores = np.where(absent, -np.inf, values @ weights.astype(np.float32))
        top = scores.max(1, keepdims=True)
        odds = np.exp(scores - top)
        total = odds.sum(1, keepdims=True)
        expected = np.einsum("rc,rck->k", odds / total, values) / len(values)
        likelihood = float((top + np.log(total)).mean() - wanted @ weights)
        return likelihood + l2 * float(weights @ weights), expected - wanted + 2 * l2 * weights

    start = np.full(values.shape[2], 0.5)
    bounds = [(0.0, None)] * len(start)
    found: Weights = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found
