"""Text channel: similarity of an item's text to the texts of the user's last items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.scorer import History, Scores, dot_products, recency_weights

_DECAY = 0.8


class TextSimilarity:
    """Scores items by the cosine to the recency-weighted mean text vector of the last items.

    Args:
        text: Unit text vectors, `(items, width)`; zeros for an item without text.
        last: Number of items of the history that are used.
    """

    def __init__(self, text: NDArray[np.floating], last: int) -> None:
        self.text = text
        self._last = last

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return cosines `(requests, candidates)`; an empty history scores all items 0."""
        return dot_products(self.user_vectors(histories), self.text, candidates)

    def user_vectors(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return unit vectors of the last items, `(requests, width)`; zeros without history."""
        recent = [history[-self._last :] for history in histories]
        means = np.stack([recency_weights(len(h), _DECAY) @ self.text[h] for h in recent])
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        users: NDArray[np.float32] = means / np.maximum(norms, 1e-9)
        return users
