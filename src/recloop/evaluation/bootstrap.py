"""Bootstrap confidence intervals that resample users.

Requests of one user are correlated, so users are the independent units (cluster bootstrap).

Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.decisions import Interval

Values = NDArray[np.float64]


class UserBootstrap:
    """Bootstrap over users whose draws are shared by every metric and difference.

    Args:
        users: User of each request.
        draws: Number of bootstrap samples.
        seed: Seed of the draws.
    """

    def __init__(self, users: list[str], draws: int, seed: int) -> None:
        _, self._user = np.unique(users, return_inverse=True)
        self._users = int(self._user.max()) + 1
        rng = np.random.default_rng(seed)
        picks = rng.integers(self._users, size=(draws, self._users))
        self._weights = np.stack([np.bincount(pick, minlength=self._users) for pick in picks])
        self._sizes = np.bincount(self._user, minlength=self._users)

    def interval(self, values: Values) -> Interval:
        """Return the mean of one value per request with its 95 % interval.

        Args:
            values: `(requests,)` float64. For a paired difference pass the differences.
        """
        sums = np.bincount(self._user, weights=values, minlength=self._users)
        means = (self._weights @ sums) / (self._weights @ self._sizes)
        low, high = np.percentile(means, [2.5, 97.5])
        return Interval(float(values.mean()), float(low), float(high))


def interval_of_ratios(
    users: Sequence[str], numerators: Values, denominators: Values, draws: int, seed: int
) -> Interval:
    """Return the sum over columns of total numerator / total denominator with its 95 % interval.

    A column whose denominators are all 0 adds nothing.

    Args:
        users: User of each row; several rows may belong to one user.
        numerators: `(rows, columns)` float64.
        denominators: `(rows, columns)` float64, not negative.
        draws: Number of bootstrap samples of users.
        seed: Seed of the draws.
    """
    _, who = np.unique(users, return_inverse=True)
    totals = [np.zeros((who.max() + 1, part.shape[1])) for part in (numerators, denominators)]
    for total, part in zip(totals, (numerators, denominators), strict=True):
        np.add.at(total, who, part)
    rng, people = np.random.default_rng(seed), len(totals[0])

    def ratio(times: Values) -> float:
        above, below = (times @ total for total in totals)
        return float(np.divide(above, below, out=np.zeros_like(above), where=below > 0).sum())

    drawn = [
        ratio(np.bincount(rng.integers(people, size=people), minlength=people).astype(np.float64))
        for _ in range(draws)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(ratio(np.ones(people)), float(low), float(high))
