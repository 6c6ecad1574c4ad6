"""Metrics of click-through prediction: AUC, UAUC, log-loss and accuracy, with intervals over users.

`labels` are 0 or 1 and `scores` (for log-loss and accuracy: probabilities) parallel arrays.
"""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from recloop.decisions import Interval

Values = NDArray[np.floating]
Users = NDArray[np.int64]
_CLIP = 1e-7
_EVEN = 0.5


def auc(labels: Values, scores: Values, weights: Values | None = None) -> float:
    """Return the area under the ROC curve: ties count half, NaN with one class only.

    Args:
        labels: 0 or 1, `(rows,)`.
        scores: Scores, `(rows,)`.
        weights: Number of rows that each row counts as, `(rows,)`; 1 if not given.
    """
    from sklearn.metrics import roc_auc_score

    present = labels if weights is None else labels[weights > 0]
    if not len(present) or present.min() == present.max():
        return float("nan")
    return float(roc_auc_score(labels, scores, sample_weight=weights))


class _AreaUnderCurve:
    """Weighted AUC of the same rows under many weights, as a bootstrap needs it.

    The rows are sorted once: for 300,000 rows, scikit-learn takes three times as long per draw.
    """

    def __init__(self, labels: Values, scores: Values) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = scores[self._order]
        new = np.ones(len(ordered), np.bool_)
        new[1:] = ordered[1:] != ordered[:-1]
        self._starts = np.flatnonzero(new)
        self._positive = labels[self._order] > 0

    def __call__(self, weights: Values) -> float:
        if not len(self._starts):
            return float("nan")
        ordered = weights[self._order]
        wins = np.add.reduceat(np.where(self._positive, ordered, 0.0), self._starts)
        losses = np.add.reduceat(np.where(self._positive, 0.0, ordered), self._starts)
        total = float(wins.sum() * losses.sum())
        below = np.cumsum(losses) - losses / 2
        return float(wins @ below) / total if total else float("nan")


def user_aucs(users: Users, labels: Values, scores: Values) -> tuple[Users, Values]:
    """Return the AUC of each user who has both classes, by average ranks.

    Args:
        users: User of each row, `(rows,)`.
        labels: 0 or 1, `(rows,)`.
        scores: Scores, `(rows,)`.

    Returns:
        Ids of the users, ascending, and their AUCs, `(users with both classes,)` each.

    Reference:
        Hanley & McNeil 1982, "The Meaning and Use of the Area under a ROC Curve".
    """
    if not len(users):
        return np.empty(0, np.int64), np.empty(0)
    order = np.lexsort((scores, users))
    ids, s, y = users[order], scores[order], labels[order] > 0
    new_user = np.concatenate([[True], ids[1:] != ids[:-1]])
    first = np.flatnonzero(new_user)
    owner = np.cumsum(new_user) - 1
    ties = np.flatnonzero(np.concatenate([[True], (s[1:] != s[:-1]) | new_user[1:]]))
    sizes = np.diff(np.append(ties, len(s)))
    rank = np.repeat(ties + (sizes + 1) / 2, sizes) - first[owner]
    positives = np.add.reduceat(y.astype(float), first)
    negatives = np.diff(np.append(first, len(s))) - positives
    both = (positives > 0) & (negatives > 0)
    excess = np.add.reduceat(rank * y, first) - positives * (positives + 1) / 2
    return ids[first][both], excess[both] / (positives * negatives)[both]


def uauc(users: Users, labels: Values, scores: Values) -> float:
    """Return the mean AUC of the users who have both classes; NaN if there are none.

    Args:
        users: User of each row, `(rows,)`.
        labels: 0 or 1, `(rows,)`.
        scores: Scores, `(rows,)`.
    """
    _, values = user_aucs(users, labels, scores)
    return float(values.mean()) if len(values) else float("nan")


def quality(users: Users, labels: Values, scores: Values) -> float:
    """Return AUC plus UAUC, the criterion for choosing models; undefined values count as 0.5.

    Args:
        users: User of each row, `(rows,)`.
        labels: 0 or 1, `(rows,)`.
        scores: Scores, `(rows,)`.
    """
    values = (auc(labels, scores), uauc(users, labels, scores))
    return sum(_EVEN if np.isnan(value) else value for value in values)


def log_losses(labels: Values, probabilities: Values) -> Values:
    """Return the cross-entropy of each row in nats, `(rows,)`; probabilities are clipped."""
    p = np.clip(probabilities.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.where(labels > 0, -np.log(p), -np.log1p(-p))


def log_loss(labels: Values, probabilities: Values) -> float:
    """Return the mean cross-entropy in nats of labels and probabilities, both `(rows,)`."""
    return float(log_losses(labels, probabilities).mean())


def report(
    users: Users, labels: Values, probabilities: Values, draws: int = 300, seed: int = 42
) -> dict[str, dict[str, float]]:
    """Return metrics with 95 % percentile intervals of a bootstrap over users.

    Draws are made one at a time: memory grows with users, not with users times draws.

    Args:
        users: User of each row, `(rows,)`.
        labels: 0 or 1, `(rows,)`.
        probabilities: Predicted probabilities, `(rows,)`.
        draws: Number of bootstrap samples.
        seed: Seed of the samples.

    Returns:
        `{metric: {value, low, high}}` with auc, uauc, log_loss and accuracy; NaN if a metric is not
        defined (one class only).
    """
    _, user = np.unique(users, return_inverse=True)
    count = int(user.max()) + 1
    area = _AreaUnderCurve(labels, probabilities)
    own, own_auc = user_aucs(user, labels, probabilities)
    sizes = np.bincount(user, minlength=count).astype(float)
    losses = np.bincount(user, log_losses(labels, probabilities), count)
    right = np.bincount(user, (probabilities >= _EVEN) == (labels > 0), count)

    def measure(drawn: Values) -> dict[str, float]:
        rows, counted = drawn @ sizes, drawn[own].sum()
        return {
            "auc": area(drawn[user]),
            "uauc": float(drawn[own] @ own_auc / counted) if counted else float("nan"),
            "log_loss": float(drawn @ losses / rows),
            "accuracy": float(drawn @ right / rows),
        }

    rng = np.random.default_rng(seed)
    picks = (rng.integers(count, size=count) for _ in range(draws))
    samples = [measure(np.bincount(pick, minlength=count).astype(float)) for pick in picks]
    return {
        name: asdict(_interval(value, np.array([sample[name] for sample in samples])))
        for name, value in measure(np.ones(count)).items()
    }


def _interval(value: float, samples: Values) -> Interval:
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(finite, [2.5, 97.5])
    return Interval(value, float(low), float(high))
