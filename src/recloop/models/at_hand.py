"""Item vectors that are left on disk, but for those of the sample, which every request looks at."""

import numpy as np
from numpy.typing import NDArray

from recloop.models.scope import EVERYTHING, Part, Rows, Scope
from recloop.models.scorer import Channel, Scores, products, widened


class AtHand:
    """`vectors` `(items, width)`; those of the rows in `sample`, which ascend, are kept side by side."""

    def __init__(self, vectors: NDArray[np.floating], sample: Rows) -> None:
        self.vectors = vectors
        self._sampled = widened(vectors[sample])

    def products(self, users: Scores, scope: Scope = EVERYTHING) -> Scores:
        """Of `users` `(requests, width)` with the items in scope, `(requests, items in scope)`."""
        if not isinstance(scope, Part) or not len(scope.sampled):
            return products(users, self.vectors, scope)
        found = np.empty((len(users), len(scope.rows)), np.float32)
        found[:, scope.sampled] = users @ self._sampled[: len(scope.sampled)].T
        others = np.delete(np.arange(len(scope.rows)), scope.sampled)
        found[:, others] = products(users, self.vectors, scope.only(others))
        return found


def by_product(users: Channel, items: AtHand) -> Channel:
    """A channel that is the product of `users` `(requests, dim)` with item vectors."""
    return lambda asked: items.products(users(asked), asked.scope)
