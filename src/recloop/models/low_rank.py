"""Implicit matrix factorisation, with users folded in from their recency-decayed history.

iALS (Hu, Koren & Volinsky 2008) with regularisation that grows with the number of interactions
(Rendle et al. 2021). NumPy and SciPy alone.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.config import Settings
from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import History, Scores, fading, products

Factors = NDArray[np.float32]

# Cells of the padded `(rows, longest row, dim)` block that is solved at once.
_CELLS = 1 << 24


class IalsConfig(Settings):
    """Size, weight of what was not observed, regularisation and number of alternations."""

    dim: int = 64
    unobserved: float = 0.3
    l2: float = 0.003
    rounds: int = 8
    seed: int = 42


class Fixed:
    """Factors `(columns, dim)` that are held, while vectors are solved for that explain weights of them."""

    def __init__(self, factors: Factors, config: IalsConfig) -> None:
        self.factors = factors
        self.config = config
        # What all columns, met or not, ask of a vector.
        self._everything: Factors = config.unobserved * (factors.T @ factors)

    def explain(self, matrix: sparse.csr_matrix) -> Factors:
        """`(rows, dim)`: the vector of each row that explains it best, zeros for an empty row."""
        dim, sizes = self.factors.shape[1], np.diff(matrix.indptr)
        solved = np.zeros((matrix.shape[0], dim), np.float32)
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        start = 0
        while start < len(order):
            at_most = max(1, _CELLS // (dim * int(sizes[order[min(start + 1023, len(order) - 1)]])))
            rows = order[start : start + min(1024, at_most)]
            columns, weights = _padded(matrix, rows, sizes[rows])
            few = 2 * columns.shape[1] <= dim
            solved[rows] = (self._by_few if few else self.explained)(columns, weights)
            start += len(rows)
        return solved

    def explained(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> Factors:
        """`(rows, dim)`, of columns and their weights `(rows, longest)`; a weight of 0 says nothing."""
        chosen = self.factors[columns]
        weighted = chosen * weights[:, :, None]
        gram = weighted.transpose(0, 2, 1) @ chosen + self._everything
        _add_to_diagonals(gram, self._ridge(weights))
        found: Factors = np.linalg.solve(gram, weighted.sum(1)[:, :, None])[:, :, 0]
        return found

    def _by_few(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> Factors:
        """The same, by a system as large as the columns are many (Woodbury 1950)."""
        turn, asked, factors = self._axes
        chosen = factors[columns]
        scaled = chosen / (asked + self._ridge(weights))[:, None, :]
        system = weights[:, :, None] * (scaled @ chosen.transpose(0, 2, 1))
        _add_to_diagonals(system, np.ones((1, 1), np.float32))
        shares = np.linalg.solve(system, weights[:, :, None])
        found: Factors = (scaled.transpose(0, 2, 1) @ shares)[:, :, 0] @ turn.T
        return found

    @cached_property
    def _axes(self) -> tuple[Factors, Factors, Factors]:
        """The axes of what all columns ask `(dim, dim)`, how much along each, the factors along them."""
        asked, turn = np.linalg.eigh(self._everything)
        return turn, np.maximum(asked, 0), self.factors @ turn

    def _ridge(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(rows, 1)`: how strongly each vector is pulled to zero."""
        unmet = self.config.unobserved * len(self.factors)
        ridge: NDArray[np.float32] = self.config.l2 * (weights.sum(1, keepdims=True) + unmet)
        return ridge


class LowRank:
    """`score = solved user vector · item factors`; items outside training have a zero vector.

    Of repeats in a history, the last place counts.
    """

    def __init__(self, factors: Factors, config: IalsConfig, decay: float) -> None:
        self.factors = factors
        self.config = config
        self.decay = decay
        self._fixed = Fixed(factors, config)

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        return products(self.users(histories), self.factors, scope)

    def users(self, histories: Sequence[History]) -> Factors:
        """`(requests, dim)`: what each looks for, zeros for an empty history."""
        users = np.zeros((len(histories), self.factors.shape[1]), np.float32)
        for row, history in enumerate(histories):
            steps, weights = fading(history, self.decay)
            if len(steps):
                users[row] = self._fixed.explained(steps[None], weights[None])
        return users


def fit_ials(matrix: sparse.csr_matrix, config: IalsConfig, decay: float) -> LowRank:
    """Factors of a users × items matrix of non-negative weights, by alternating least squares."""
    rng = np.random.default_rng(config.seed)
    scale = 0.1 / np.sqrt(config.dim)
    items = rng.normal(0, scale, (matrix.shape[1], config.dim)).astype(np.float32)
    rows, columns = matrix.tocsr(), matrix.T.tocsr()
    for _ in range(config.rounds):
        users = Fixed(items, config).explain(rows)
        items = Fixed(users, config).explain(columns)
    return LowRank(items, config, decay)


def _add_to_diagonals(matrices: NDArray[np.floating], added: NDArray[np.floating]) -> None:
    """In place, to each of `(rows, n, n)`; `added` is `(rows, 1)`, or `(1, 1)` for all."""
    diagonals = matrices.reshape(len(matrices), -1)[:, :: matrices.shape[1] + 1]
    diagonals += added


def _padded(
    matrix: sparse.csr_matrix, rows: NDArray[np.int64], sizes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    columns = np.zeros((len(rows), int(sizes.max())), np.int64)
    weights = np.zeros(columns.shape, np.float32)
    filled = np.arange(columns.shape[1]) < sizes[:, None]
    flat = np.repeat(matrix.indptr[rows], sizes) + np.nonzero(filled)[1]
    columns[filled], weights[filled] = matrix.indices[flat], matrix.data[flat]
    return columns, weights
