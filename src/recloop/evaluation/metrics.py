"""Ranking metrics over full rankings, one value per request.

All metrics take the same arrays: `hits`, `(requests, depth)` bool, is true where the item at that
rank is relevant; `relevant`, `(requests,)` int64, is the number of relevant items of each request.
Ranks beyond `depth` count as misses. They return `(requests,)` float64, between 0 and 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def ndcg(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the normalised discounted cumulative gain with binary relevance, `(requests,)`.

    It is 0 for a request without relevant items.

    Reference: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    gain = hits[:, :k] @ discount[: hits.shape[1]]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, k)]
    values: Values = np.divide(gain, ideal, out=np.zeros_like(gain), where=ideal > 0)
    return values


def recall(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the share of the relevant items that are among the first k, `(requests,)`."""
    values: Values = hits[:, :k].sum(1) / np.maximum(relevant, 1)
    return values


def precision(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the share of the first k ranks that hold a relevant item, `(requests,)`."""
    del relevant
    values: Values = hits[:, :k].sum(1) / k
    return values


def mrr(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return the reciprocal rank of the first relevant item, 0 if none is among the first k."""
    del relevant
    top = hits[:, :k]
    return np.where(top.any(1), 1.0 / (top.argmax(1) + 1.0), 0.0)


def hit_rate(hits: Hits, relevant: Counts, k: int) -> Values:
    """Return 1 for each request with a relevant item among the first k, else 0."""
    del relevant
    return np.where(hits[:, :k].any(1), 1.0, 0.0)


METRICS: dict[str, Callable[[Hits, Counts, int], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "mrr": mrr,
    "precision": precision,
    "hit_rate": hit_rate,
}


def coverage(ranked: NDArray[np.int64], items: int, k: int) -> float:
    """Return the share of the catalogue that is among the first k of at least one list.

    Args:
        ranked: Catalogue rows, best first, -1 for an empty rank; `(requests, depth)` int64.
        items: Number of items in the catalogue.
        k: Number of ranks that count.
    """
    listed = np.unique(ranked[:, :k])
    return float((listed >= 0).sum() / items)
