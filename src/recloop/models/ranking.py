"""From scores to a ranked list: the one place where it happens, offline and online."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.models.scorer import History, Scores

Ranked = NDArray[np.int64]


def top_k(scores: Scores, forbidden: Sequence[History], k: int) -> tuple[Ranked, Scores]:
    """The k best rows per request and their scores, best first; forbidden rows never appear.

    Where fewer than k items are allowed, the rest is -1. Equal scores within the list keep
    catalogue order.
    """
    allowed = scores.astype(np.float32, copy=True)
    for row, rows in enumerate(forbidden):
        allowed[row, rows] = -np.inf
    k = min(k, scores.shape[1])
    best = np.argpartition(-allowed, k - 1, axis=1)[:, :k]
    best.sort(axis=1)
    order = np.argsort(-np.take_along_axis(allowed, best, 1), axis=1, kind="stable")
    ranked = np.take_along_axis(best, order, 1)
    values = np.take_along_axis(allowed, ranked, 1)
    return np.where(np.isfinite(values), ranked, -1), values
