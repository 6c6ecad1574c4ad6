"""Of each item a few numbers, from which it can be guessed what any mix of channels says of it.

A mix is nearly linear in the items' vectors. So once a few thousand items have been scored, least squares
say what the others would get, from the directions in which the vectors of all channels together vary most.
Each counts as often as it stands for others: those that stand out for what is not linear would mislead.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recloop.models.finders import best
from recloop.models.scope import Part, Rows
from recloop.models.scorer import Scores, products, widened

_DIRECTIONS = 64
_RIDGE = 1e-3
# Items that are projected at once.
_BATCH = 1 << 15


class Sketch:
    """`numbers` `(items, directions)`, in the order of the catalogue."""

    def __init__(self, numbers: NDArray[np.floating]) -> None:
        self.numbers = numbers

    @classmethod
    def draw(cls, matrices: Sequence[NDArray[np.floating]], sample: Rows) -> "Sketch":
        """Principal components, as those in `sample` have them, of matrices `(items, …)` side by side.

        Each matrix counts alike, however many columns it has and however large its numbers are.
        """
        scales = [np.float32(_norm(matrix[sample])) for matrix in matrices]

        def beside(rows: Rows | slice) -> Scores:
            parts = zip(matrices, scales, strict=True)
            return np.concatenate([widened(matrix[rows]) / scale for matrix, scale in parts], 1)

        told = beside(sample)
        _, directions = np.linalg.eigh(told.T @ told)
        chosen = directions[:, ::-1][:, :_DIRECTIONS]
        starts = range(0, len(matrices[0]), _BATCH)
        found = [(beside(slice(s, s + _BATCH)) @ chosen).astype(np.float16) for s in starts]
        return cls(np.concatenate(found))

    def likely(self, scope: Part, scores: Scores, rows: Rows, count: int) -> Rows:
        """Of `rows`, as many as that: those that would have the best scores, in any order.

        `scores` `(items in scope,)` are what they are guessed from.
        """
        rows = rows[rows < len(self.numbers)]
        if len(rows) <= count:
            return rows
        own = scope.below(len(self.numbers))
        told = np.pad(
            widened(self.numbers.take(own.rows, axis=0)), ((0, 0), (0, 1)), constant_values=1
        )
        weighed = told.T * own.counted
        gram = weighed @ told
        ridge = np.float32(_RIDGE * np.trace(gram) / len(gram)) * np.eye(
            len(gram), dtype=np.float32
        )
        weights = np.linalg.solve(gram + ridge, weighed @ scores[: len(own.rows)])
        among = Part(rows, np.ones(len(rows), np.float32))
        guessed = products(weights[None, :-1], self.numbers, among)[0]
        return rows[best(guessed, count)]


def _norm(vectors: NDArray[np.floating]) -> float:
    """How long they are, on average."""
    return max(float(np.linalg.norm(widened(vectors), axis=1).mean()), 1e-9) if len(vectors) else 1
