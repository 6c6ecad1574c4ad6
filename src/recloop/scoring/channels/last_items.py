"""Matrix of the newest items of histories, weighted by recency."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from recloop.scoring.channels.item_item import Dense, Sparse
from recloop.scoring.scorer import History, last_occurrences, recency_weights


def last_items_matrix(
    histories: Sequence[History], items: int, last: int, decay: float
) -> sparse.csr_matrix:
    """Return the weights of the newest distinct items of each history, `(requests, items)`.

    Args:
        histories: Item rows of each history, oldest first.
        items: Number of items of the catalogue.
        last: Number of newest items that are kept; an item counts at its last occurrence.
        decay: Factor by which an item counts less than the next newer one; the newest counts 1.

    >>> last_items_matrix([np.array([2, 0, 1])], items=3, last=2, decay=0.5).toarray().tolist()
    [[0.5, 1.0, 0.0]]
    """
    kept = [last_occurrences(history)[-last:] for history in histories]
    starts = np.cumsum([0, *(len(rows) for rows in kept)])
    columns = np.concatenate([np.empty(0, np.int64), *kept])
    weights = [recency_weights(len(rows), decay) for rows in kept]
    values = np.concatenate([np.empty(0, np.float32), *weights])
    return sparse.csr_matrix((values, columns, starts), shape=(len(histories), items))


def linked_scores(steps: Dense | Sparse, links: Dense | Sparse) -> Dense:
    """Return the dense product `(requests, items)` of steps `(requests, items)` with links.

    Args:
        steps: Weights of the items of each history, dense or sparse.
        links: Item-item matrix, `(items, items)`, dense or sparse.
    """
    product = steps @ links
    dense: Dense = product if isinstance(product, np.ndarray) else product.toarray()
    return dense
