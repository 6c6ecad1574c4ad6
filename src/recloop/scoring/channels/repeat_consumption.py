"""Repeat consumption: the items of the user's own history, weighted by recency."""

from collections.abc import Sequence

import numpy as np

from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.scorer import History, Scores, recency_weights


class RepeatConsumption:
    """Scores an item by the logarithm of its recency-decayed count in the user's history.

    Args:
        items: Number of items of the catalogue.
        decay: Factor by which a step counts less than the next newer one, in (0, 1].
    """

    def __init__(self, items: int, decay: float) -> None:
        self._items = items
        self._decay = decay

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`; items outside the history get 0."""
        counts = [
            np.bincount(history, recency_weights(len(history), self._decay), self._items)[
                candidates.rows
            ]
            for history in histories
        ]
        return np.log1p(10 * np.stack(counts)).astype(np.float32)
