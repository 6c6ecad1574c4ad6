"""Low-rank models: factors of the additive model's residuals, and exposure vectors."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.ctr.log import Floats, Ints, Log

_CHUNK = 20_000
_TINY = 1e-9


def grid(log: Log, values: Floats, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the `(users, items)` matrix of one value per row; values of the same pair add up."""
    return sparse.csr_matrix((values, (log.users, log.items)), shape=shape)


def fit_factors(
    log: Log, residuals: Floats, shape: tuple[int, int], rank: int, l2: float, sweeps: int = 6
) -> tuple[Floats, Floats]:
    """Fit factors whose products approximate the residuals, by alternating least squares.

    Args:
        log: Rows.
        residuals: Residual of each row, `(rows,)`.
        shape: Numbers of users and items.
        rank: Width of the factors.
        l2: Ridge penalty of every vector.
        sweeps: Number of alternations.

    Returns:
        Factors `(users, rank)` and `(items, rank)`, float32; zeros without rows.

    Reference:
        Zhou et al. 2008, "Large-Scale Parallel Collaborative Filtering for the Netflix Prize".
    """
    ones = grid(log, np.ones(len(log), np.float32), shape)
    values = grid(log, residuals, shape)
    ones_t, values_t = ones.T.tocsr(), values.T.tocsr()
    items: Floats = np.random.default_rng(0).normal(0, 0.1, (shape[1], rank)).astype(np.float32)
    users = np.zeros((shape[0], rank), np.float32)
    for _ in range(sweeps):
        users = _solve(ones, values, items, l2)
        items = _solve(ones_t, values_t, users, l2)
    return users, items


def _solve(ones: sparse.csr_matrix, values: sparse.csr_matrix, other: Floats, l2: float) -> Floats:
    rank = other.shape[1]
    squares = (other[:, :, None] * other[:, None, :]).reshape(-1, rank * rank)
    ridge = l2 * np.eye(rank, dtype=np.float32)
    found = np.zeros((ones.shape[0], rank), np.float32)
    used = np.flatnonzero(np.diff(ones.indptr))
    for start in range(0, len(used), _CHUNK):
        rows = used[start : start + _CHUNK]
        gram = (ones[rows] @ squares).reshape(-1, rank, rank) + ridge
        found[rows] = np.linalg.solve(gram, (values[rows] @ other)[:, :, None])[:, :, 0]
    return found


def exposure_vectors(log: Log, shape: tuple[int, int], rank: int) -> Floats:
    """Return unit item vectors `(items, rank)`, float32, from all interactions regardless of label.

    They come from a randomised SVD of the matrix, scaled by the roots of its row and column sums.

    Reference:
        Halko et al. 2011, "Finding Structure with Randomness".
    """
    seen = grid(log, np.ones(len(log), np.float32), shape)
    seen.data[:] = 1.0
    rows = 1 / np.sqrt(np.maximum(np.asarray(seen.sum(1)).ravel(), 1))
    columns = 1 / np.sqrt(np.maximum(np.asarray(seen.sum(0)).ravel(), 1))
    scaled = (sparse.diags(rows) @ seen @ sparse.diags(columns)).astype(np.float32).tocsr()
    rank = min(rank, min(shape) - 1)
    if rank < 1:
        return np.zeros((shape[1], 1), np.float32)
    basis = np.random.default_rng(0).normal(size=(shape[1], rank)).astype(np.float32)
    for _ in range(4):
        basis, _ = np.linalg.qr(scaled.T @ (scaled @ basis))
    _, values, right = np.linalg.svd(np.asarray(scaled @ basis), full_matrices=False)
    vectors: Floats = (basis @ right.T) * values
    return unit(vectors[:, 1:] if rank > 1 else vectors)


def item_cosines(values: sparse.csr_matrix, ones: sparse.csr_matrix, shrink: float) -> Floats:
    """Return the adjusted cosines of items, shrunk if few users rated both.

    They take 12 bytes times the square of the number of items.

    Args:
        values: Residuals, `(users, items)`.
        ones: 1 for each residual, `(users, items)`.
        shrink: Number of common users at which a cosine is halved.

    Returns:
        Cosines, `(items, items)`, float32; 0 on the diagonal.

    Reference:
        Sarwar et al. 2001, "Item-Based Collaborative Filtering Recommendation Algorithms".
    """
    both = (ones.T @ ones).toarray()
    cosines = (values.T @ values).toarray()
    norms = np.sqrt(np.maximum(cosines.diagonal(), _TINY))
    cosines /= np.outer(norms, norms)
    cosines *= both / (both + shrink)
    np.fill_diagonal(cosines, 0.0)
    found: Floats = cosines.astype(np.float32)
    return found


def compress(vectors: NDArray[np.float32], width: int) -> Floats:
    """Return the first `width` principal components of vectors, `(rows, width)`, of unit length."""
    if vectors.shape[1] <= width:
        return unit(vectors.astype(np.float32))
    sample = vectors[:: max(1, len(vectors) // 20_000)].astype(np.float32)
    mean = sample.mean(0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    return unit((vectors - mean) @ axes[:, ::-1][:, :width])


def unit(vectors: Floats) -> Floats:
    """Scale rows to unit length, `(rows, width)`, float32; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = (vectors / np.maximum(norms, _TINY)).astype(np.float32)
    return scaled


def products(left: Floats, right: Floats, users: Ints, items: Ints) -> Floats:
    """Return the dot product `left[u] · right[i]` of each pair, `(pairs,)`."""
    values: Floats = np.einsum("nk,nk->n", left[users], right[items])
    return values
