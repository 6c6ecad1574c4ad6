"""Off-policy evaluation: the mean reward of a policy, estimated from lists of another policy.

The logging policy drew each position of a list with a recorded propensity, given the positions
above it; the target policy would have drawn it with another. Products of the ratios of the two are
the importance weights of the rewards. Two forms differ in what a reward may depend on:

- `list`: the reward at a position may depend on the whole list; its weight is the product over
  all positions (Horvitz and Thompson 1952). It makes no assumption and has a high variance for
  long lists.
- `place`: the reward at a position depends on this position and those above it; its weight is the
  product down to it (per-decision importance sampling, Precup 2000; for ranked lists "reward
  interaction", McInerney et al. 2020).

The functions take arrays and return numbers; they import neither the store nor the models.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recloop.decisions import Interval
from recloop.evaluation.bootstrap import interval_of_ratios

Floats = NDArray[np.float64]
Form = Literal["list", "place"]


class NoExplorationError(ValueError):
    """Error: every propensity in the log is 1, so nothing can be estimated for other lists."""


@dataclass(frozen=True)
class Logged:
    """Served lists with propensities and rewards.

    Beyond the end of a short list propensities are 1 and rewards 0.

    Attributes:
        users: User of each list; `(lists,)`.
        logged: Propensities of the policy that drew the lists, each given the positions above it;
            `(lists, positions)` float64, above 0 and at most 1.
        target: Propensities of the policy to be evaluated; `(lists, positions)` float64.
        rewards: Reward at each position; `(lists, positions)` float64.

    Raises:
        ValueError: The shapes differ, or a propensity is out of range.
    """

    users: list[str]
    logged: Floats
    target: Floats
    rewards: Floats

    def __post_init__(self) -> None:
        shapes = {self.logged.shape, self.target.shape, self.rewards.shape}
        if len(shapes) != 1 or len(self.users) != len(self.logged):
            raise ValueError(f"users, propensities and rewards do not belong together: {shapes}")
        if not ((self.logged > 0) & (self.logged <= 1)).all():
            raise ValueError("what was shown had a propensity above 0 and of 1 at most")
        if not ((self.target >= 0) & (self.target <= 1)).all():
            raise ValueError("a propensity of the target is not between 0 and 1")


@dataclass(frozen=True)
class Estimate:
    """Estimated mean reward of a list, with 95 % intervals over users.

    Attributes:
        ips: Inverse propensity score; unbiased, its variance grows with the weights.
        clipped: The same with weights up to a bound; biased downwards.
        snips: Self-normalised: divided by the sum of the weights instead of the number of lists
            (Swaminathan and Joachims 2015). This is the estimate to report.
        effective: Effective sample size: the number of lists drawn by the target that would give
            the same variance (Kish 1965).
        mean_weight: Mean weight of a whole list. Its expectation is 1; a lower value shows that
            the target draws lists that the logging policy could not draw.
    """

    ips: Interval
    clipped: Interval
    snips: Interval
    effective: float
    mean_weight: float


def on_policy(logged: Logged, draws: int = 1_000, seed: int = 42) -> Interval:
    """Return the mean reward of the lists as they were drawn, with its 95 % interval.

    Args:
        logged: The lists.
        draws: Number of bootstrap samples of users.
        seed: Seed of the draws.
    """
    return interval_of_ratios(
        logged.users, logged.rewards, np.ones_like(logged.rewards), draws, seed
    )


def estimate(
    logged: Logged, form: Form, clip: float | None = None, draws: int = 1_000, seed: int = 42
) -> Estimate:
    """Estimate the mean reward of a list drawn by the target policy.

    Args:
        logged: The lists.
        form: What a reward may depend on; see the module.
        clip: Largest weight of the clipped estimate; by default the square root of the number of
            lists (Ionides 2008).
        draws: Number of bootstrap samples of users.
        seed: Seed of the draws.

    Raises:
        NoExplorationError: Every propensity in the log is 1, or the log is empty.
    """
    if (logged.logged == 1).all():
        raise NoExplorationError(
            "no list was drawn at random: an arm that explores has to serve first"
        )
    weights, lists = _weights(logged, form), len(logged.users)
    ones = np.ones_like(weights)
    most = np.sqrt(lists) if clip is None else clip

    def interval(weights: Floats, divisors: Floats) -> Interval:
        return interval_of_ratios(logged.users, weights * logged.rewards, divisors, draws, seed)

    return Estimate(
        interval(weights, ones),
        interval(np.minimum(weights, most), ones),
        interval(weights, weights),
        _effective(weights, logged.rewards),
        float(weights[:, -1].mean()),
    )


def _weights(logged: Logged, form: Form) -> Floats:
    """Return the importance weight of the reward at each position, `(lists, positions)`."""
    down_to = np.cumprod(logged.target / logged.logged, axis=1, dtype=np.float64)
    return down_to if form == "place" else np.repeat(down_to[:, -1:], down_to.shape[1], axis=1)


def _effective(weights: Floats, rewards: Floats) -> float:
    """Return the effective sample size, averaged over positions in proportion to their rewards."""
    squares = (weights**2).sum(0)
    sizes = np.divide(weights.sum(0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    often = np.abs(rewards).sum(0)
    return float(np.average(sizes, weights=often if often.any() else None))
