"""What a policy would bring, from lists that another one drew: off-policy evaluation.

Each place of a list was drawn with a known propensity, given the places before it; the target policy would
have drawn it with another. The ratios of the two, multiplied up, weigh what people did with the list. Two
forms differ in what may depend on what:

- `list`: what is done in a place may depend on the whole list; the weight of a place is the product over
  all places (Horvitz and Thompson 1952). Assumes nothing, and is wild for long lists.
- `place`: it depends on this place and those above it; the weight is the product down to it (per-decision,
  Precup 2000; of ranked lists, McInerney et al. 2020, "reward interaction").

Arrays in, numbers out. Knows no store and no model.
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
    """Every item was certain to be where it was shown: nothing is known of any other list."""


@dataclass(frozen=True)
class Logged:
    """Lists and what was done with them, all but `users` `(lists, places)`.

    `logged` and `target` are the propensities in each place, given those before it, of the policy that drew
    the list and of the one that is asked about. `rewards` are what the places brought. Beyond the end of
    a short list propensities are 1 and rewards 0. `users` `(lists,)`: whose lists they are.

    Raises:
        ValueError: the shapes differ, or a number is no propensity.
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
    """Mean reward of a list, with intervals over users.

    `ips` is without bias, and its spread grows with the weights; `clipped` has none above a bound, and errs
    to the low side; `snips` is divided by the weights themselves instead of by the number of lists
    (Swaminathan and Joachims 2015), and is the one to read. `effective`: of how many lists drawn by
    the target this is worth (Kish 1965). `mean_weight` of a whole list is 1 but for chance; below it, the
    target shows what the log could not hold.
    """

    ips: Interval
    clipped: Interval
    snips: Interval
    effective: float
    mean_weight: float


def on_policy(logged: Logged, draws: int = 1_000, seed: int = 42) -> Interval:
    """Mean reward of the lists as they were drawn."""
    return interval_of_ratios(
        logged.users, logged.rewards, np.ones_like(logged.rewards), draws, seed
    )


def estimate(
    logged: Logged, form: Form, clip: float | None = None, draws: int = 1_000, seed: int = 42
) -> Estimate:
    """Mean reward of a list that the target would have drawn.

    Args:
        logged: the lists.
        form: what rewards may depend on; see the module.
        clip: the largest weight of the clipped estimate; by default the root of the number of lists
            (Ionides 2008).
        draws: of the bootstrap, as many as users have to be drawn anew.
        seed: of these draws.

    Raises:
        NoExplorationError: every propensity in the log is 1, or the log is empty.
    """
    if (logged.logged == 1).all():
        raise NoExplorationError(
            "there is no list in which anything was left to chance: an arm that explores has to serve first"
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
    """`(lists, places)`: of the reward in each place."""
    down_to = np.cumprod(logged.target / logged.logged, axis=1, dtype=np.float64)
    return down_to if form == "place" else np.repeat(down_to[:, -1:], down_to.shape[1], axis=1)


def _effective(weights: Floats, rewards: Floats) -> float:
    """Mean over the places, as often as they brought something; of all alike where none did."""
    squares = (weights**2).sum(0)
    sizes = np.divide(weights.sum(0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    often = np.abs(rewards).sum(0)
    return float(np.average(sizes, weights=often if often.any() else None))
