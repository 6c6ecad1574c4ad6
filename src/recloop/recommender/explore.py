"""Policies: who comes next among candidates, and with which probability it did.

A list is drawn place by place. Each draw is made anew, so the probability that is given back, the
propensity, is exactly that of this item in this place given those before it; the product of a list's
propensities is the probability of the list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtr, softmax

from recloop.config import Settings

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
# Usefulness of those that may come next, and their places among the candidates, both `(n,)` → which of
# the n, and its probability.
Draw = Callable[[Floats, Places, np.random.Generator], tuple[int, float]]

# Usefulness, places, and which of the n → how likely that one was to be drawn.
Odds = Callable[[Floats, Places, int], float]

_STEPS = np.linspace(-8, 8, 101)
_NEAR = np.linspace(-4, 4, 17)


@dataclass(frozen=True)
class Counts:
    """How often each item was shown, and how often what was shown was then taken up."""

    shown: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, int] = field(default_factory=dict)
    all_shown: int = 0
    all_taken: int = 0


NO_COUNTS = Counts()


class Greedy(Settings):
    """The best, always: propensity 1."""

    kind: Literal["greedy"] = "greedy"

    def draws(self, ids: Sequence[str], counts: Counts) -> Draw:  # noqa: ARG002 - of one form
        """How it draws among these items."""
        return lambda useful, _places, _rng: (int(useful.argmax()), 1.0)

    def odds(self, ids: Sequence[str], counts: Counts) -> Odds:  # noqa: ARG002 - of one form
        """How likely it is to draw each of these items."""
        return lambda useful, _places, chosen: float(chosen == useful.argmax())


class Exploring(Settings):
    """`pool`: how many of the best candidates can be shown at all; others have propensity 0."""

    pool: Annotated[int, Field(ge=1, le=1_000)] = 50


class EpsilonGreedy(Exploring):
    """The best, but with probability `epsilon` any, each alike (the best among them)."""

    kind: Literal["epsilon-greedy"]
    epsilon: Annotated[float, Field(ge=0, le=1)]

    def draws(self, ids: Sequence[str], counts: Counts) -> Draw:
        """How it draws among these items."""
        odds = self.odds(ids, counts)

        def draw(useful: Floats, places: Places, rng: np.random.Generator) -> tuple[int, float]:
            any_of = rng.random() < self.epsilon
            chosen = int(rng.integers(len(useful)) if any_of else useful.argmax())
            return chosen, odds(useful, places, chosen)

        return draw

    def odds(self, ids: Sequence[str], counts: Counts) -> Odds:  # noqa: ARG002 - of one form
        """How likely it is to draw each of these items."""

        def odds(useful: Floats, _: Places, chosen: int) -> float:
            best = chosen == useful.argmax()
            return float(self.epsilon / len(useful) + (1 - self.epsilon) * best)

        return odds


class Softmax(Exploring):
    """Plackett-Luce: in proportion to exp(usefulness / temperature).

    Drawn by the Gumbel-max trick (Kool, van Hoof and Welling 2019), anew in each place.
    """

    kind: Literal["softmax"]
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0

    def draws(self, ids: Sequence[str], counts: Counts) -> Draw:
        """How it draws among these items."""
        odds = self.odds(ids, counts)

        def draw(useful: Floats, places: Places, rng: np.random.Generator) -> tuple[int, float]:
            chosen = int((useful / self.temperature + rng.gumbel(size=len(useful))).argmax())
            return chosen, odds(useful, places, chosen)

        return draw

    def odds(self, ids: Sequence[str], counts: Counts) -> Odds:  # noqa: ARG002 - of one form
        """How likely it is to draw each of these items."""
        return lambda useful, _, chosen: float(softmax(useful / self.temperature)[chosen])


class Thompson(Exploring):
    """Thompson sampling (Thompson 1933) of what counts say beside the score.

    Each item's rate of being taken up has a Beta posterior whose prior is worth `prior` lists and has
    the rate of all items as mean; taken as Gaussian on the log-odds scale (delta method):

        usefulness + weight · N(logit(rate) - logit(rate of all), 1 / (n · rate · (1 - rate)))

    with n the times shown, the prior among them. The best of one sample each comes next; its probability
    is the integral of its density times the others' distribution functions.
    """

    kind: Literal["thompson"]
    weight: Annotated[float, Field(gt=0, le=100)] = 0.5
    prior: Annotated[float, Field(ge=1, le=1e6)] = 20.0

    def draws(self, ids: Sequence[str], counts: Counts) -> Draw:
        """How it draws among these items."""
        shifts, spreads = self._posterior(ids, counts)

        def draw(useful: Floats, places: Places, rng: np.random.Generator) -> tuple[int, float]:
            means, deviations = useful + shifts[places], spreads[places]
            chosen = int(rng.normal(means, deviations).argmax())
            return chosen, probability_best(chosen, means, deviations)

        return draw

    def odds(self, ids: Sequence[str], counts: Counts) -> Odds:
        """How likely it is to draw each of these items."""
        shifts, spreads = self._posterior(ids, counts)

        def odds(useful: Floats, places: Places, chosen: int) -> float:
            return probability_best(chosen, useful + shifts[places], spreads[places])

        return odds

    def _posterior(self, ids: Sequence[str], counts: Counts) -> tuple[Floats, Floats]:
        common = (counts.all_taken + 1) / (max(counts.all_shown, counts.all_taken) + self.prior + 2)
        taken = np.array([counts.taken.get(item, 0) for item in ids], np.float64)
        shown = np.maximum([counts.shown.get(item, 0) for item in ids], taken) + self.prior
        rates = (taken + self.prior * common) / shown
        shifts = np.log(rates / (1 - rates)) - np.log(common / (1 - common))
        return self.weight * shifts, self.weight / np.sqrt(shown * rates * (1 - rates))


Policy = Annotated[Greedy | EpsilonGreedy | Softmax | Thompson, Field(discriminator="kind")]


def probability_best(chosen: int, means: Floats, deviations: Floats) -> float:
    """Of independent Gaussians: how likely this one is the largest. By the trapezoidal rule.

    Its nodes lie evenly over the chosen one's density, and closer where a distribution function rises.
    """
    rises = (means[:, None] + deviations[:, None] * _NEAR).ravel()
    nodes = np.concatenate([_STEPS, (rises - means[chosen]) / deviations[chosen]])
    nodes = np.unique(nodes[np.abs(nodes) <= _STEPS[-1]])
    others = np.arange(len(means)) != chosen
    values = means[chosen] + deviations[chosen] * nodes
    below = ndtr((values - means[others, None]) / deviations[others, None]).prod(0)
    density = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    return float(min(np.trapezoid(density * below, nodes), 1.0))
