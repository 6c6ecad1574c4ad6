"""Off-policy evaluation: the mean reward of a policy, estimated from lists of another policy.

The logging policy drew each position of a list with a recorded propensity, given the positions
above it; the target policy would have drawn it with another. Products of the ratios of the two are
the importance weights of the rewards. Two forms differ in what a reward may depend on:

- `list`: the reward at a position may depend on the whole list; its weight is the product over
  all positions (Horvitz and Thompson 1952). It makes no assumption and has a high variance for
  long lists.
- `position`: the reward at a position depends on this position and those above it; its weight is
  the product down to it (per-decision importance sampling, Precup 2000; for ranked lists "reward
  interaction", McInerney et al. 2020).

The functions take arrays and return numbers; they import neither the store nor the models.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recloop.decisions import Interval
from recloop.evaluation.bootstrap import sum_of_ratios_interval

FloatArray = NDArray[np.float64]
Weighting = Literal["list", "position"]


class NoExplorationError(ValueError):
    """Error: every propensity in the log is 1, so nothing can be estimated for other lists."""


@dataclass(frozen=True)
class LoggedLists:
    """Served lists with propensities and rewards.

    Beyond the end of a short list propensities are 1 and rewards 0.

    Attributes:
        users: User of each list; `(lists,)`.
        logging_propensities: Propensities of the policy that drew the lists, each given the
            positions above it; `(lists, positions)` float64, above 0 and at most 1.
        target_propensities: Propensities of the policy to be evaluated; `(lists, positions)`
            float64.
        rewards: Reward at each position; `(lists, positions)` float64.

    Raises:
        ValueError: The shapes differ, or a propensity is out of range.
    """

    users: list[str]
    logging_propensities: FloatArray
    target_propensities: FloatArray
    rewards: FloatArray

    def __post_init__(self) -> None:
        shapes = {
            self.logging_propensities.shape,
            self.target_propensities.shape,
            self.rewards.shape,
        }
        if len(shapes) != 1 or len(self.users) != len(self.logging_propensities):
            raise ValueError(f"users, propensities and rewards do not belong together: {shapes}")
        if not ((self.logging_propensities > 0) & (self.logging_propensities <= 1)).all():
            raise ValueError("what was shown had a propensity above 0 and of 1 at most")
        if not ((self.target_propensities >= 0) & (self.target_propensities <= 1)).all():
            raise ValueError("a propensity of the target is not between 0 and 1")


@dataclass(frozen=True)
class Estimate:
    """Estimated mean reward of a list, with 95 % intervals over users.

    Attributes:
        ips: Inverse propensity score; unbiased, its variance grows with the weights.
        clipped: The same with weights up to a bound; biased downwards.
        snips: Self-normalised: divided by the sum of the weights instead of the number of lists
            (Swaminathan and Joachims 2015). This is the estimate to report.
        effective_sample_size: Number of lists drawn by the target that would give the same variance
            (Kish 1965).
        mean_weight: Mean weight of a whole list. Its expectation is 1; a lower value shows that
            the target draws lists that the logging policy could not draw.
    """

    ips: Interval
    clipped: Interval
    snips: Interval
    effective_sample_size: float
    mean_weight: float


def on_policy(lists: LoggedLists, draws: int = 1_000, seed: int = 42) -> Interval:
    """Return the mean reward of the lists as they were drawn, with its 95 % interval.

    Args:
        lists: The lists.
        draws: Number of bootstrap samples of users.
        seed: Seed of the draws.
    """
    return sum_of_ratios_interval(
        lists.users, lists.rewards, np.ones_like(lists.rewards), draws, seed
    )


def estimate(
    lists: LoggedLists,
    weighting: Weighting,
    clip: float | None = None,
    draws: int = 1_000,
    seed: int = 42,
) -> Estimate:
    """Estimate the mean reward of a list drawn by the target policy.

    Args:
        lists: The lists.
        weighting: What a reward may depend on; see the module.
        clip: Largest weight of the clipped estimate; by default the square root of the number of
            lists (Ionides 2008).
        draws: Number of bootstrap samples of users.
        seed: Seed of the draws.

    Raises:
        NoExplorationError: Every propensity in the log is 1, or the log is empty.
    """
    if (lists.logging_propensities == 1).all():
        raise NoExplorationError(
            "no list was drawn at random: an arm that explores has to serve first"
        )
    weights = _weights(lists, weighting)
    ones = np.ones_like(weights)
    max_weight = np.sqrt(len(lists.users)) if clip is None else clip

    def interval(weights: FloatArray, normalisers: FloatArray) -> Interval:
        return sum_of_ratios_interval(
            lists.users, weights * lists.rewards, normalisers, draws, seed
        )

    return Estimate(
        interval(weights, ones),
        interval(np.minimum(weights, max_weight), ones),
        interval(weights, weights),
        _effective_sample_size(weights, lists.rewards),
        float(weights[:, -1].mean()),
    )


def _weights(lists: LoggedLists, weighting: Weighting) -> FloatArray:
    """Return the importance weight of the reward at each position, `(lists, positions)`."""
    cumulative = np.cumprod(
        lists.target_propensities / lists.logging_propensities, axis=1, dtype=np.float64
    )
    if weighting == "position":
        return cumulative
    return np.repeat(cumulative[:, -1:], cumulative.shape[1], axis=1)


def _effective_sample_size(weights: FloatArray, rewards: FloatArray) -> float:
    """Return the effective sample size, averaged over positions in proportion to their rewards."""
    squares = (weights**2).sum(0)
    sizes = np.divide(weights.sum(0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    total_rewards = np.abs(rewards).sum(0)
    return float(np.average(sizes, weights=total_rewards if total_rewards.any() else None))
