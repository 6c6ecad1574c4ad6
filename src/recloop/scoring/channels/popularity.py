"""Popularity: the same scores for everybody."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.scorer import History, Scores


class Popularity:
    """Scores each item by the logarithm of 1 plus its number of interactions.

    Args:
        counts: Interactions of each item, `(items,)`.

    >>> popularity = Popularity(np.array([0, 1], np.float32))
    >>> print(popularity.score([np.array([0])]).round(2))
    [[0.   0.69]]
    """

    def __init__(self, counts: NDArray[np.float32]) -> None:
        self.log_counts = np.log1p(counts).astype(np.float32)

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`; the histories do not matter."""
        scores = self.log_counts[candidates.rows]
        return np.broadcast_to(scores, (len(histories), len(scores))).copy()
