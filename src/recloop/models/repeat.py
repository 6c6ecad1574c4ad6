"""What a person comes back to: their own history, counted with recency."""

from collections.abc import Sequence

import numpy as np

from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import History, Scores, recency_weights


class Repeat:
    """Log of the recency-decayed number of times that the person has met each item."""

    def __init__(self, items: int, decay: float) -> None:
        self._items = items
        self._decay = decay

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        counts = [
            np.bincount(history, recency_weights(len(history), self._decay), self._items)[
                scope.rows
            ]
            for history in histories
        ]
        return np.log1p(10 * np.stack(counts)).astype(np.float32)
