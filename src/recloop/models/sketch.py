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
_LARGEST = np.float32(127)
# Items that are projected at once.
_BATCH = 1 << 15


class Sketch:
    """`numbers` `(items, directions)`, in the order of the catalogue, each column in a unit of its own."""

    def __init__(self, numbers: NDArray[np.number]) -> None:
        self.numbers = numbers

    @classmethod
    def draw(cls, matrices: Sequence[NDArray[np.floating]], sample: Rows) -> "Sketch":
        """Principal components, as those in `sample` have them, of matrices `(items, …)` side by side.

        Each matrix counts alike, however many columns it has and however large its numbers are. Eight bits
        of a number are enough to guess by, and those of an item are what memory hands out at once.
        """
        scales = [np.float32(_norm(matrix[sample])) for matrix in matrices]

        def beside(rows: Rows | slice) -> Scores:
            parts = zip(matrices, scales, strict=True)
            return np.concatenate([widened(matrix[rows]) / scale for matrix, scale in parts], 1)

        told = beside(sample)
        _, directions = np.linalg.eigh(told.T @ told)
        chosen = directions[:, ::-1][:, :_DIRECTIONS]
        starts = range(0, len(matrices[0]), _BATCH)
        found = np.concatenate([beside(slice(s, s + _BATCH)) @ chosen for s in starts])
        found *= _LARGEST / np.maximum(np.abs(found).max(0, initial=0), np.float32(1e-9))
        return cls(found.round().astype(np.int8))

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
