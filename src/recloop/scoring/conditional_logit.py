"""Channel weights as a conditional logit over the choices that users made.

The log-likelihood is smooth in the weights and every request contributes to it. Its optimum is
therefore steadier than that of a search for the best NDCG, which moves in steps of single requests.

Reference:
    McFadden 1974, "Conditional Logit Analysis of Qualitative Choice Behavior".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Choices:
    """Choices of users, each among several alternatives.

    Attributes:
        channel_scores: Standardised scores, `(requests, alternatives, channels)`.
        chosen: Shares of the choice, `(requests, alternatives)`: each row sums to 1 over the items
            that were chosen.
        missing: Whether an entry is padding, `(requests, alternatives)`.
    """

    channel_scores: NDArray[np.float32]
    chosen: NDArray[np.float32]
    missing: NDArray[np.bool_]

    @classmethod
    def from_padded(
        cls, channel_scores: NDArray[np.float32], chosen: NDArray[np.float32]
    ) -> "Choices":
        """Build choices from scores that are `-inf` in every channel where there is no item.

        Args:
            channel_scores: Standardised scores, `(requests, alternatives, channels)`.
            chosen: Shares of the choice, `(requests, alternatives)`.
        """
        missing = np.isneginf(channel_scores[:, :, 0])
        finite = np.where(missing[:, :, None], 0.0, channel_scores).astype(np.float32)
        return cls(finite, chosen, missing)

    def take(self, rows: NDArray[np.int64]) -> "Choices":
        """Return the choices of these requests, whose numbers are `(taken,)`."""
        return Choices(self.channel_scores[rows], self.chosen[rows], self.missing[rows])

    def nll(self, weights: Weights) -> NDArray[np.float64]:
        """Return the negative log-likelihood of each request's choice, `(requests,)`, in nats."""
        return self._nll_and_probabilities(weights)[0]

    def mean_nll_and_gradient(self, weights: Weights) -> tuple[float, Weights]:
        """Return the mean negative log-likelihood and its gradient `(channels,)`."""
        nll, probabilities = self._nll_and_probabilities(weights)
        residuals = probabilities - self.chosen
        gradient = np.einsum("rc,rck->k", residuals, self.channel_scores)
        return float(nll.mean()), gradient / len(self.channel_scores)

    def _nll_and_probabilities(
        self, weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        scores = np.where(self.missing, -np.inf, self.channel_scores @ weights.astype(np.float32))
        highest = scores.max(1, keepdims=True)
        exponentials = np.exp(scores - highest)
        total = exponentials.sum(1, keepdims=True)
        chosen = np.einsum("rc,rc->r", self.chosen, np.where(self.missing, 0.0, scores))
        return (highest + np.log(total))[:, 0] - chosen, exponentials / total


def fit_conditional_logit(
    choices: Choices, l2: float = 1e-4, prior: Weights | None = None
) -> Weights:
    """Fit non-negative channel weights by penalised maximum likelihood.

    Args:
        choices: The choices to explain.
        l2: Strength of the penalty on the squared distance from `prior`.
        prior: Weights `(channels,)` to shrink towards; zeros by default.

    Returns:
        Weights `(channels,)`, float64, all >= 0.
    """
    centre = np.zeros(choices.channel_scores.shape[2]) if prior is None else prior

    def loss(weights: Weights) -> tuple[float, Weights]:
        nll, gradient = choices.mean_nll_and_gradient(weights)
        distance = weights - centre
        return nll + l2 * float(distance @ distance), gradient + 2 * l2 * distance

    start = np.full(len(centre), 0.5) if prior is None else prior
    bounds = [(0.0, None)] * len(centre)
    fitted: Weights = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return fitted
