"""Implicit matrix factorisation by alternating least squares (iALS).

User vectors are not stored: each is solved from the recency-decayed history of the request.
The regularisation grows with the number of interactions. NumPy and SciPy only.

Reference:
    Hu, Koren & Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets".
    Rendle et al. 2021, "Revisiting the Performance of iALS on Item Recommendation Benchmarks".
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.config import ConfigModel
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.scorer import History, Scores, decayed_history, dot_products

Factors = NDArray[np.float32]

# Largest number of entries of the padded block `(rows, longest row, dim)` that is solved at once.
_MAX_ENTRIES = 1 << 24
_MAX_ROWS = 1_024


class ImplicitALSConfig(ConfigModel):
    """Settings of implicit ALS."""

    dim: int = 64
    """Width of the factors."""
    unobserved: float = 0.3
    """Weight of pairs without an interaction."""
    l2: float = 0.003
    """Regularisation."""
    iterations: int = 8
    """Alternations."""
    seed: int = 42
    """Seed of the random numbers."""


class LeastSquares:
    """Solves for the vectors of one side while the vectors of the other side are held fixed.

    Args:
        factors: Vectors of the fixed side, `(columns, dim)`.
        config: Settings of the factorisation.
    """

    def __init__(self, factors: Factors, config: ImplicitALSConfig) -> None:
        self.factors = factors
        self.config = config
        # Every column contributes to every system, observed or not.
        self._unobserved_gram: Factors = config.unobserved * (factors.T @ factors)

    def solve(self, matrix: sparse.csr_matrix) -> Factors:
        """Return the optimal vector of each row, `(rows, dim)`; zeros for an empty row.

        Args:
            matrix: Interaction weights, `(rows, columns)`, non-negative.
        """
        dim, sizes = self.factors.shape[1], np.diff(matrix.indptr)
        solved = np.zeros((matrix.shape[0], dim), np.float32)
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        start = 0
        while start < len(order):
            longest = int(sizes[order[min(start + _MAX_ROWS - 1, len(order) - 1)]])
            at_most = max(1, _MAX_ENTRIES // (dim * longest))
            rows = order[start : start + min(_MAX_ROWS, at_most)]
            columns, weights = _padded(matrix, rows, sizes[rows])
            is_short = 2 * columns.shape[1] <= dim
            solve = self._solve_short if is_short else self.solve_padded
            solved[rows] = solve(columns, weights)
            start += len(rows)
        return solved

    def solve_padded(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> Factors:
        """Return the optimal vectors of some rows, `(rows, dim)`.

        Args:
            columns: Observed columns of each row, `(rows, longest)`.
            weights: Their interaction weights, `(rows, longest)`; 0 for padding.
        """
        observed = self.factors[columns]
        weighted = observed * weights[:, :, None]
        gram = weighted.transpose(0, 2, 1) @ observed + self._unobserved_gram
        _add_to_diagonals(gram, self._ridge(weights))
        solved: Factors = np.linalg.solve(gram, weighted.sum(1)[:, :, None])[:, :, 0]
        return solved

    def _solve_short(self, columns: NDArray[np.int64], weights: NDArray[np.float32]) -> Factors:
        """Solve rows with few columns by a system of that size.

        Reference:
            Woodbury 1950, "Inverting modified matrices".
        """
        basis, eigenvalues, rotated = self._eigenbasis
        observed = rotated[columns]
        scaled = observed / (eigenvalues + self._ridge(weights))[:, None, :]
        system = weights[:, :, None] * (scaled @ observed.transpose(0, 2, 1))
        _add_to_diagonals(system, np.ones((1, 1), np.float32))
        shares = np.linalg.solve(system, weights[:, :, None])
        solved: Factors = (scaled.transpose(0, 2, 1) @ shares)[:, :, 0] @ basis.T
        return solved

    @cached_property
    def _eigenbasis(self) -> tuple[Factors, Factors, Factors]:
        """Eigenvectors `(dim, dim)` and eigenvalues of the Gram matrix; factors in that basis."""
        eigenvalues, basis = np.linalg.eigh(self._unobserved_gram)
        return basis, np.maximum(eigenvalues, 0), self.factors @ basis

    def _ridge(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the regularisation of each row, `(rows, 1)`; it grows with the observed weight."""
        unobserved = self.config.unobserved * len(self.factors)
        ridge: NDArray[np.float32] = self.config.l2 * (weights.sum(1, keepdims=True) + unobserved)
        return ridge


class ImplicitALS:
    """Scores items by the dot product of the solved user vector and the item vectors.

    An item that occurs several times in a history counts once, at its last occurrence.

    Args:
        factors: Item vectors, `(items, dim)`; zeros for cold items.
        config: Settings that the item vectors were fitted with.
        decay: Factor by which a step counts less than the next newer one; 1 is no decay.
    """

    def __init__(self, factors: Factors, config: ImplicitALSConfig, decay: float) -> None:
        self.factors = factors
        self.config = config
        self.decay = decay
        self._least_squares = LeastSquares(factors, config)

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`; an empty history scores all items 0."""
        return dot_products(self.user_vectors(histories), self.factors, candidates)

    def user_vectors(self, histories: Sequence[History]) -> Factors:
        """Return the user vectors `(requests, dim)`; zeros for an empty history."""
        users = np.zeros((len(histories), self.factors.shape[1]), np.float32)
        for row, history in enumerate(histories):
            items, weights = decayed_history(history, self.decay)
            if len(items):
                users[row] = self._least_squares.solve_padded(items[None], weights[None])
        return users


def fit_ials(matrix: sparse.csr_matrix, config: ImplicitALSConfig, decay: float) -> ImplicitALS:
    """Fit item vectors by alternating least squares.

    Args:
        matrix: Interaction weights, `(users, items)`, non-negative.
        config: Settings of the factorisation.
        decay: Decay of the history in scoring; it does not change the fit.
    """
    rng = np.random.default_rng(config.seed)
    scale = 0.1 / np.sqrt(config.dim)
    items = rng.normal(0, scale, (matrix.shape[1], config.dim)).astype(np.float32)
    rows, columns = matrix.tocsr(), matrix.T.tocsr()
    for _ in range(config.iterations):
        users = LeastSquares(items, config).solve(rows)
        items = LeastSquares(users, config).solve(columns)
    return ImplicitALS(items, config, decay)


def _add_to_diagonals(matrices: NDArray[np.floating], added: NDArray[np.floating]) -> None:
    """Add `(rows, 1)` or `(1, 1)` to the diagonals of `(rows, n, n)`, in place."""
    diagonals = matrices.reshape(len(matrices), -1)[:, :: matrices.shape[1] + 1]
    diagonals += added


def _padded(
    matrix: sparse.csr_matrix, rows: NDArray[np.int64], sizes: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return columns and weights of some rows, each `(rows, longest)`, filled up with 0."""
    columns = np.zeros((len(rows), int(sizes.max())), np.int64)
    weights = np.zeros(columns.shape, np.float32)
    filled = np.arange(columns.shape[1]) < sizes[:, None]
    entries = np.repeat(matrix.indptr[rows], sizes) + np.nonzero(filled)[1]
    columns[filled], weights[filled] = matrix.indices[entries], matrix.data[entries]
    return columns, weights
