"""Additive model: the logit is the sum of an intercept, a user effect and an item effect.

The alternating Newton steps are written here, since scikit-learn's logistic regression has one
penalty for all effects and no fixed intercept.
"""

from dataclasses import dataclass

import numpy as np

from recloop.ctr.log import Doubles, Ints, Log

_SWEEPS = 12
_CLIP = 30.0


def sigmoid(logits: Doubles) -> Doubles:
    """Return the logistic function, without overflow; same shape."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -_CLIP, _CLIP)))


@dataclass(frozen=True)
class Bias:
    """Fitted additive model, `logit = intercept + user[u] + item[i]`.

    Attributes:
        intercept: Log-odds of the mean label.
        user: Effects, `(users,)`; 0 for users without rows.
        item: Effects, `(items,)`; 0 for items without rows.
    """

    intercept: float
    user: Doubles
    item: Doubles

    def logits(self, users: Ints, items: Ints) -> Doubles:
        """Return the logit of each pair, `(pairs,)`."""
        values: Doubles = self.intercept + self.user[users] + self.item[items]
        return values


def fit_bias(log: Log, users: int, items: int, l2: float, *, user_l2: float | None = None) -> Bias:
    """Fit a ridge logistic regression on one-hot users and items, by alternating Newton steps.

    Args:
        log: Rows to fit.
        users: Number of users.
        items: Number of items.
        l2: Ridge penalty of the items.
        user_l2: Ridge penalty of the users; `l2` if not given.
    """
    rate = np.clip(log.labels.mean() if len(log) else 0.5, 1e-4, 1 - 1e-4)
    intercept = float(np.log(rate / (1 - rate)))
    user, item = np.zeros(users), np.zeros(items)
    sides = ((item, log.items, l2), (user, log.users, l2 if user_l2 is None else user_l2))
    for _ in range(_SWEEPS if len(log) else 0):
        for effects, rows, penalty in sides:
            p = sigmoid(intercept + user[log.users] + item[log.items])
            slope = np.bincount(rows, log.labels - p, len(effects)) - penalty * effects
            effects[:] += slope / (np.bincount(rows, p * (1 - p), len(effects)) + penalty)
    return Bias(intercept, user, item)
