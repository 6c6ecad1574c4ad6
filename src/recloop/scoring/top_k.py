"""Top k: ranked lists from scores, computed in the same way offline and online."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.scorer import History, Scores

Ranked = NDArray[np.int64]


def top_k(scores: Scores, excluded: Sequence[History], k: int) -> tuple[Ranked, Scores]:
    """Return the k best items of each request and their scores, best first.

    Equal scores keep the order of the catalogue. `k` is cut to the number of items.

    >>> ranked, values = top_k(np.array([[0.1, 0.9, 0.5]], np.float32), [np.array([1])], k=2)
    >>> ranked.tolist()
    [[2, 0]]

    Args:
        scores: Shape `(requests, items)`, float32; higher is better.
        excluded: Positions, for each request, that must not be in its list.
        k: Length of the lists.

    Returns:
        Positions `(requests, k)`, int64, and their scores `(requests, k)`, float32. Where fewer
        than k items are allowed, the rest is -1 and `-inf`.
    """
    allowed = scores.astype(np.float32, copy=True)
    for row, rows in enumerate(excluded):
        allowed[row, rows] = -np.inf
    k = min(k, scores.shape[1])
    best = np.argpartition(-allowed, k - 1, axis=1)[:, :k]
    best.sort(axis=1)
    order = np.argsort(-np.take_along_axis(allowed, best, 1), axis=1, kind="stable")
    ranked = np.take_along_axis(best, order, 1)
    values = np.take_along_axis(allowed, ranked, 1)
    return np.where(np.isfinite(values), ranked, -1), values
