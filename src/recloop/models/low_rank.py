"""Implicit matrix factorisation, with users folded in from their recency-decayed history.

iALS (Hu, Koren & Volinsky 2008) with regularisation that grows with the number of interactions
(Rendle et al. 2021). NumPy and SciPy alone.
"""

from collections.abc import Sequence

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


class LowRank:
    """`score = solved user vector · item factors`; items outside training have a zero vector.

    Of repeats in a history, the last place counts.
    """

    def __init__(self, factors: Factors, config: IalsConfig, decay: float) -> None:
        self.factors = factors
        self.config = config
        self.decay = decay
        self._everything = _weigh_all(factors, config)

    def score(self, histories: Sequence[History], scope: Scope = EVERYTHING) -> Scores:
        return products(self.users(histories), self.factors, scope)

    def users(self, histories: Sequence[History]) -> Factors:
        """`(requests, dim)`: what each looks for, zeros for an empty history."""
        users = np.zeros((len(histories), self.factors.shape[1]), np.float32)
        for row, history in enumerate(histories):
            steps, weights = fading(history, self.decay)
            if len(steps):
                users[row] = _explained(
                    steps[None], weights[None], self.factors, self._everything, self.config
                )
        return users


def fit_ials(matrix: sparse.csr_matrix, config: IalsConfig, decay: float) -> LowRank:
    """Factors of a users × items matrix of non-negative weights, by alternating least squares."""
    rng = np.random.default_rng(config.seed)
    scale = 0.1 / np.sqrt(config.dim)
    items = rng.normal(0, scale, (matrix.shape[1], config.dim)).astype(np.float32)
    rows, columns = matrix.tocsr(), matrix.T.tocsr()
    for _ in range(config.rounds):
        users = _solve(rows, items, _weigh_all(items, config), config)
        items = _solve(columns, users, _weigh_all(users, config), config)
    return LowRank(items, config, decay)


def _weigh_all(fixed: Factors, config: IalsConfig) -> Factors:
    """`(dim, dim)`: what all columns, met or not, ask of a vector."""
    everything: Factors = config.unobserved * (fixed.T @ fixed)
    return everything


def _solve(
    matrix: sparse.csr_matrix, fixed: Factors, everything: Factors, config: IalsConfig
) -> Factors:
    """The vector of each row that explains it best, given the `fixed` factors of its columns."""
    count, dim = matrix.shape[0], fixed.shape[1]
    solved = np.zeros((count, dim), np.float32)
    sizes = np.diff(matrix.indptr)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    start = 0
    while start < len(order):
        at_most = max(1, _CELLS // (dim * int(sizes[order[min(start + 1023, len(order) - 1)]])))
        rows = order[start : start + min(1024, at_most)]
        columns, weights = _padded(matrix, rows, sizes[rows])
        solved[rows] = _explained(columns, weights, fixed, everything, config)
        start += len(rows)
    return solved


def _explained(
    columns: NDArray[np.int64],
    weights: NDArray[np.float32],
    fixed: Factors,
    everything: Factors,
    config: IalsConfig,
) -> Factors:
    """`(rows, dim)`, of columns and their weights `(rows, longest)`; a weight of 0 says nothing."""
    chosen = fixed[columns]
    weighted = chosen * weights[:, :, None]
    gram = weighted.transpose(0, 2, 1) @ chosen + everything
    ridge = config.l2 * (weights.sum(1) + config.unobserved * len(fixed))
    diagonals = gram.reshape(len(gram), -1)[:, :: gram.shape[1] + 1]
    diagonals += ridge[:, None]
    found: Factors = np.linalg.solve(gram, weighted.sum(1)[:, :, None])[:, :, 0]
    return found


def _padded(
    matrix: sparse.csr_matrix, rows: NDArray[np.int64], sizes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    columns = np.zeros((len(rows), int(sizes.max())), np.int64)
    weights = np.zeros(columns.shape, np.float32)
    filled = np.arange(columns.shape[1]) < sizes[:, None]
    flat = np.repeat(matrix.indptr[rows], sizes) + np.nonzero(filled)[1]
    columns[filled], weights[filled] = matrix.indices[flat], matrix.data[flat]
    return columns, weights
