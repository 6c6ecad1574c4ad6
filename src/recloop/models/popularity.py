"""Popularity: the same scores for everybody."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import History, Scores


class Popularity:
    """Log of each item's number of interactions."""

    def __init__(self, counts: NDArray[np.float32]) -> None:
        self.log_counts = np.log1p(counts).astype(np.float32)

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        said = self.log_counts[scope.rows]
        return np.broadcast_to(said, (len(histories), len(said))).copy()
