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
        _, self._user_of_request = np.unique(users, return_inverse=True)
        self._user_count = int(self._user_of_request.max()) + 1
        rng = np.random.default_rng(seed)
        samples = rng.integers(self._user_count, size=(draws, self._user_count))
        self._sample_counts = np.stack(
            [np.bincount(sample, minlength=self._user_count) for sample in samples]
        )
        self._requests_of_user = np.bincount(self._user_of_request, minlength=self._user_count)

    def interval(self, values: Values) -> Interval:
        """Return the mean of one value per request with its 95 % interval.

        Args:
            values: `(requests,)` float64. For a paired difference pass the differences.
        """
        sums = np.bincount(self._user_of_request, weights=values, minlength=self._user_count)
        means = (self._sample_counts @ sums) / (self._sample_counts @ self._requests_of_user)
        low, high = np.percentile(means, [2.5, 97.5])
        return Interval(float(values.mean()), float(low), float(high))


def sum_of_ratios_interval(
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
    _, user_of_row = np.unique(users, return_inverse=True)
    totals = [
        np.zeros((user_of_row.max() + 1, values.shape[1])) for values in (numerators, denominators)
    ]
    for total, values in zip(totals, (numerators, denominators), strict=True):
        np.add.at(total, user_of_row, values)
    rng, user_count = np.random.default_rng(seed), len(totals[0])

    def ratio(user_weights: Values) -> float:
        numerator, denominator = (user_weights @ total for total in totals)
        return float(
            np.divide(
                numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
            ).sum()
        )

    samples = [
        ratio(
            np.bincount(rng.integers(user_count, size=user_count), minlength=user_count).astype(
                np.float64
            )
        )
        for _ in range(draws)
    ]
    low, high = np.percentile(samples, [2.5, 97.5])
    return Interval(ratio(np.ones(user_count)), float(low), float(high))
