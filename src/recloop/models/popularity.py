"""Popularity: the same scores for everybody."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.models.scorer import History, Scores


class Popularity:
    """Log of each item's number of interactions."""

    def __init__(self, counts: NDArray[np.float32]) -> None:
        self.log_counts = np.log1p(counts).astype(np.float32)

    def score(self, histories: Sequence[History]) -> Scores:
        return np.broadcast_to(self.log_counts, (len(histories), len(self.log_counts))).copy()
