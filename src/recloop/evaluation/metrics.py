"""Ranking metrics over full rankings, one value per request.

Arrays only: `hits` is `(requests, depth)` bool, true where the item at that rank is relevant;
`relevant` is `(requests,)`, how many items are relevant. Ranks beyond `depth` count as misses.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def ndcg(hits: Hits, relevant: Counts, k: int) -> Values:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002), binary relevance."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    gain = hits[:, :k] @ discount[: hits.shape[1]]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, k)]
    values: Values = np.divide(gain, ideal, out=np.zeros_like(gain), where=ideal > 0)
    return values


def recall(hits: Hits, relevant: Counts, k: int) -> Values:
    """Share of the relevant items among the first k."""
    values: Values = hits[:, :k].sum(1) / np.maximum(relevant, 1)
    return values


def precision(hits: Hits, relevant: Counts, k: int) -> Values:
    """Share of the first k that is relevant."""
    del relevant
    values: Values = hits[:, :k].sum(1) / k
    return values


def mrr(hits: Hits, relevant: Counts, k: int) -> Values:
    """Reciprocal rank of the first relevant item, 0 where none is among the first k."""
    del relevant
    top = hits[:, :k]
    return np.where(top.any(1), 1.0 / (top.argmax(1) + 1.0), 0.0)


def hit_rate(hits: Hits, relevant: Counts, k: int) -> Values:
    """1 where a relevant item is among the first k."""
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
    """Share of the catalogue that appears in somebody's first k; -1 marks an empty rank."""
    shown = np.unique(ranked[:, :k])
    return float((shown >= 0).sum() / items)
