"""Exploration policies: which candidate comes next, and with which probability.

A list is drawn position by position. The propensity of an item is its exact probability at this
position given the items before it, so the product of the propensities is the probability of the
list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtr, softmax

from recloop.config import ConfigModel

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]
# Draws one of n candidates, given their utilities and their positions in the pool, both `(n,)`, and
# returns its index and its probability.
Sampler = Callable[[Floats, Positions, np.random.Generator], tuple[int, float]]

# Returns the probability of drawing one of n candidates, given utilities, positions and its index.
ItemProbability = Callable[[Floats, Positions, int], float]

_STEPS = np.linspace(-8, 8, 101)
_NEAR = np.linspace(-4, 4, 17)


@dataclass(frozen=True)
class ItemCounts:
    """Counts of impressions (`shown`) and of clicks and other positive events on them (`taken`)."""

    shown: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, int] = field(default_factory=dict)
    all_shown: int = 0
    all_taken: int = 0


NO_COUNTS = ItemCounts()


class Greedy(ConfigModel):
    """Always draws the best candidate, with propensity 1."""

    kind: Literal["greedy"] = "greedy"

    def sampler(self, ids: Sequence[str], counts: ItemCounts) -> Sampler:  # noqa: ARG002
        """Return a `Sampler` of these items, which takes utilities of shape `(candidates,)`."""
        return lambda useful, _positions, _rng: (int(useful.argmax()), 1.0)

    def probability(self, ids: Sequence[str], counts: ItemCounts) -> ItemProbability:  # noqa: ARG002
        """Return an `ItemProbability` of these items, for utilities of shape `(candidates,)`."""
        return lambda useful, _positions, chosen: float(chosen == useful.argmax())


class ExploringPolicy(ConfigModel):
    """Base class of policies that explore among the `pool` best candidates."""

    pool: Annotated[int, Field(ge=1, le=1_000)] = 50


class EpsilonGreedy(ExploringPolicy):
    """Draws a uniformly random candidate with probability `epsilon`, otherwise the best one."""

    kind: Literal["epsilon-greedy"]
    epsilon: Annotated[float, Field(ge=0, le=1)]

    def sampler(self, ids: Sequence[str], counts: ItemCounts) -> Sampler:
        """Return a `Sampler` of these items, which takes utilities of shape `(candidates,)`."""
        probability = self.probability(ids, counts)

        def draw(
            useful: Floats, positions: Positions, rng: np.random.Generator
        ) -> tuple[int, float]:
            any_of = rng.random() < self.epsilon
            chosen = int(rng.integers(len(useful)) if any_of else useful.argmax())
            return chosen, probability(useful, positions, chosen)

        return draw

    def probability(self, ids: Sequence[str], counts: ItemCounts) -> ItemProbability:  # noqa: ARG002
        """Return an `ItemProbability` of these items, for utilities of shape `(candidates,)`."""

        def probability(useful: Floats, _: Positions, chosen: int) -> float:
            best = chosen == useful.argmax()
            return float(self.epsilon / len(useful) + (1 - self.epsilon) * best)

        return probability


class Softmax(ExploringPolicy):
    """Draws in proportion to exp(utility / temperature): a Plackett-Luce model of the list.

    Reference:
        Kool, van Hoof and Welling (2019), Stochastic Beams and Where to Find Them: The
        Gumbel-Top-k Trick.
    """

    kind: Literal["softmax"]
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0

    def sampler(self, ids: Sequence[str], counts: ItemCounts) -> Sampler:
        """Return a `Sampler` of these items, which takes utilities of shape `(candidates,)`."""
        probability = self.probability(ids, counts)

        def draw(
            useful: Floats, positions: Positions, rng: np.random.Generator
        ) -> tuple[int, float]:
            chosen = int((useful / self.temperature + rng.gumbel(size=len(useful))).argmax())
            return chosen, probability(useful, positions, chosen)

        return draw

    def probability(self, ids: Sequence[str], counts: ItemCounts) -> ItemProbability:  # noqa: ARG002
        """Return an `ItemProbability` of these items, for utilities of shape `(candidates,)`."""
        return lambda useful, _, chosen: float(softmax(useful / self.temperature)[chosen])


class Thompson(ExploringPolicy):
    """Thompson sampling of what impressions and clicks say in addition to the score.

    The click rate of each item has a Beta posterior, whose prior has the weight of `prior`
    impressions and the rate of all items as its mean. It is taken as Gaussian on the log-odds
    scale (delta method):

        utility + weight · N(logit(rate) - logit(rate of all), 1 / (n · rate · (1 - rate)))

    with n the impressions including the prior. One sample is drawn for each candidate and the
    largest one comes next. Its propensity is the integral of its density times the distribution
    functions of the others.

    Reference:
        Thompson (1933), On the Likelihood that One Unknown Probability Exceeds Another.
    """

    kind: Literal["thompson"]
    weight: Annotated[float, Field(gt=0, le=100)] = 0.5
    prior: Annotated[float, Field(ge=1, le=1e6)] = 20.0

    def sampler(self, ids: Sequence[str], counts: ItemCounts) -> Sampler:
        """Return a `Sampler` of these items, which takes utilities of shape `(candidates,)`."""
        shifts, spreads = self._posterior(ids, counts)

        def draw(
            useful: Floats, positions: Positions, rng: np.random.Generator
        ) -> tuple[int, float]:
            means, deviations = useful + shifts[positions], spreads[positions]
            chosen = int(rng.normal(means, deviations).argmax())
            return chosen, probability_best(chosen, means, deviations)

        return draw

    def probability(self, ids: Sequence[str], counts: ItemCounts) -> ItemProbability:
        """Return an `ItemProbability` of these items, for utilities of shape `(candidates,)`."""
        shifts, spreads = self._posterior(ids, counts)

        def probability(useful: Floats, positions: Positions, chosen: int) -> float:
            return probability_best(chosen, useful + shifts[positions], spreads[positions])

        return probability

    def _posterior(self, ids: Sequence[str], counts: ItemCounts) -> tuple[Floats, Floats]:
        common = (counts.all_taken + 1) / (max(counts.all_shown, counts.all_taken) + self.prior + 2)
        taken = np.array([counts.taken.get(item, 0) for item in ids], np.float64)
        shown = np.maximum([counts.shown.get(item, 0) for item in ids], taken) + self.prior
        rates = (taken + self.prior * common) / shown
        shifts = np.log(rates / (1 - rates)) - np.log(common / (1 - common))
        return self.weight * shifts, self.weight / np.sqrt(shown * rates * (1 - rates))


Policy = Annotated[Greedy | EpsilonGreedy | Softmax | Thompson, Field(discriminator="kind")]


def probability_best(chosen: int, means: Floats, deviations: Floats) -> float:
    """Return the probability that one of several independent Gaussians is the largest.

    The integral is computed by the trapezoidal rule, with nodes spread evenly over the density of
    the chosen one and further nodes where a distribution function rises.

    Args:
        chosen: Index of the chosen Gaussian.
        means: Means, shape `(n,)`.
        deviations: Standard deviations, shape `(n,)`, > 0.
    """
    rises = (means[:, None] + deviations[:, None] * _NEAR).ravel()
    nodes = np.concatenate([_STEPS, (rises - means[chosen]) / deviations[chosen]])
    nodes = np.unique(nodes[np.abs(nodes) <= _STEPS[-1]])
    others = np.arange(len(means)) != chosen
    values = means[chosen] + deviations[chosen] * nodes
    below = ndtr((values - means[others, None]) / deviations[others, None]).prod(0)
    density = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    return float(min(np.trapezoid(density * below, nodes), 1.0))
