"""The additive model: a logit of intercept, user and item, each drawn towards zero."""

from dataclasses import dataclass

import numpy as np

from recloop.models.ctr.log import Doubles, Ints, Log

_SWEEPS = 12
_CLIP = 30.0


def sigmoid(logits: Doubles) -> Doubles:
    """Logistic function without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(logits, -_CLIP, _CLIP)))


@dataclass(frozen=True)
class Bias:
    """`logit = intercept + user[u] + item[i]`; users and items without rows count as average."""

    intercept: float
    user: Doubles
    item: Doubles

    def logits(self, users: Ints, items: Ints) -> Doubles:
        """One per pair."""
        values: Doubles = self.intercept + self.user[users] + self.item[items]
        return values


def fit_bias(log: Log, users: int, items: int, l2: float, *, user_l2: float | None = None) -> Bias:
    """Ridge logistic regression on the two one-hot vectors, by alternating Newton steps."""
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
