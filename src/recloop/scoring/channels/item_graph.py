"""Random walk over an item-item graph, from the user's newest items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.channels.item_item import Dense, Sparse
from recloop.scoring.channels.last_items import last_items_matrix, linked_scores
from recloop.scoring.scorer import History, Scores


class ItemGraphWalk:
    """Scores an item by the probability that a short walk ends there, damped by popularity.

    A walk starts at one of the newest items and takes one step, or two. The probability is divided
    by the item's degree to the power of `damping`, as in RP3beta.

    Args:
        transitions: Weights of the steps from an item (row) to another, `(items, items)`.
        degrees: Degree of each item, `(items,)`.
        last: Number of newest history items at which walks start.
        decay: Factor by which a start counts less than the next newer one.
        two_steps: Share of walks with two steps, in [0, 1].
        damping: Exponent of the degree; 0 is no damping.

    Reference:
        Kamehkhosh, Jannach & Ludewig 2017, "A Comparison of Frequent Pattern Techniques and a Deep
        Learning Method for Session-Based Recommendation" (the step: sequential rules).
        Paudel et al. 2017, "Updatable, Accurate, Diverse, and Scalable Recommendations for
        Interactive Applications" (RP3beta: the damping, and the steps without an order).
    """

    def __init__(
        self,
        transitions: Dense | Sparse,
        degrees: NDArray[np.float32],
        *,
        last: int,
        decay: float,
        two_steps: float,
        damping: float,
    ) -> None:
        self._transitions = transitions
        self._factors = np.maximum(degrees, 1e-9) ** -damping * (degrees > 0)
        self._last = last
        self._decay = decay
        self._two_steps = two_steps

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`; an empty history scores all items 0."""
        steps = last_items_matrix(histories, len(self._factors), self._last, self._decay)
        product = steps @ self._transitions
        first = product if isinstance(product, np.ndarray) else sparse.csr_matrix(product)
        scores: Scores = first if isinstance(first, np.ndarray) else first.toarray()
        if self._two_steps:
            second = linked_scores(first, self._transitions)
            scores = (1 - self._two_steps) * scores + self._two_steps * second
        damped: Scores = (scores * self._factors).astype(np.float32, copy=False)
        return damped[:, candidates.rows]
