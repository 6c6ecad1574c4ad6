"""Memory-mapped item vectors of which a few rows stay in RAM."""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, CandidateSet
from recloop.scoring.scorer import Channel, Scores, dot_products, to_float32


class PinnedRows:
    """Memory-mapped item vectors; the rows of the reference sample stay in RAM, as float32.

    Every request scores the sample (see `ReferenceSample`), so its rows are the most used ones.

    Args:
        vectors: Item vectors, `(items, width)`.
        sample: Rows to keep in RAM, ascending.
    """

    def __init__(self, vectors: NDArray[np.floating], sample: Rows) -> None:
        self.vectors = vectors
        self._pinned = to_float32(vectors[sample])

    def dot_products(self, users: Scores, candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return the dot products of user vectors with the candidates' vectors.

        Args:
            users: User vectors, `(requests, width)`.
            candidates: The items to score.

        Returns:
            Scores, `(requests, candidates)`, float32.
        """
        if not isinstance(candidates, CandidateSet) or not len(candidates.reference_positions):
            return dot_products(users, self.vectors, candidates)
        pinned = candidates.reference_positions
        scores = np.empty((len(users), len(candidates.rows)), np.float32)
        scores[:, pinned] = users @ self._pinned[: len(pinned)].T
        others = np.delete(np.arange(len(candidates.rows)), pinned)
        scores[:, others] = dot_products(users, self.vectors, candidates.subset(others))
        return scores


def dot_product_channel(users: Channel, items: PinnedRows) -> Channel:
    """Return a channel that scores by the dot product of user and item vectors.

    Args:
        users: Returns the user vectors `(requests, width)` of some requests.
        items: Item vectors.
    """
    return lambda requests: items.dot_products(users(requests), requests.candidates)
