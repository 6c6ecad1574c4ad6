"""Fitting of SLIM: sparse, non-negative item-item regression on the most similar items."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.config import ConfigModel
from recloop.scoring.channels.item_item import Dense, ItemItemModel, Sparse
from recloop.training.channels.item_item_fitting import fit_item_knn, gram_matrix

# Largest number of items; 0.4 GB of memory, about a minute for each setting on one core.
MAX_ITEMS = 10_000
# Similar items of which the regression chooses.
_CANDIDATES = 200
# Regressions that are solved at once, and the end of the iterations.
_BLOCK, _SWEEPS, _TOLERANCE = 64, 100, 1e-4


class SlimConfig(ConfigModel):
    """Penalties of SLIM, in units of interactions.

    Attributes:
        l1: Penalty of the sum of the weights.
        l2: Penalty of half the sum of their squares.
    """

    l1: float = 1.0
    l2: float = 100.0


SLIM_GRID = tuple(SlimConfig(l1=l1, l2=l2) for l2 in (100.0, 400.0, 1_000.0) for l1 in (1.0, 5.0))


def fit_slim(
    matrix: sparse.csr_matrix,
    config: SlimConfig,
    decay: float,
    candidates: int = _CANDIDATES,
    max_items: int = MAX_ITEMS,
) -> ItemItemModel[Sparse]:
    """Fit SLIM on the most popular items.

    An item's weights minimise half the squared error of its column, plus the two penalties; they
    are at least 0. As in fsSLIM, only the items with the largest cosine to it may have a weight.

    Args:
        matrix: Interactions, `(users, items)`.
        config: The penalties.
        decay: Recency decay of histories.
        candidates: Number of similar items that may have a weight.
        max_items: Largest number of items.

    Reference:
        Ning & Karypis 2011, "SLIM: Sparse Linear Methods for Top-N Recommender Systems".
    """
    similar = fit_item_knn(matrix, candidates, 1.0, max_items)
    rows = similar.rows
    gram = gram_matrix(sparse.csr_matrix(matrix[:, rows], dtype=np.float32))
    neighbours = similar.weights.tocsc()
    columns = [
        _strongest(neighbours.indices[start:end], neighbours.data[start:end], candidates)
        for start, end in zip(neighbours.indptr[:-1], neighbours.indptr[1:], strict=True)
    ]
    parts = []
    for start in range(0, len(rows), _BLOCK):
        block = columns[start : start + _BLOCK]
        targets = np.arange(start, start + len(block))
        parts.append(_solve_block(gram, targets, block, config))
    weights = sparse.hstack(parts, "csr", np.float32)
    return ItemItemModel(weights, rows, matrix.shape[1], decay)


def non_negative_elastic_net(gram: Dense, products: Dense, config: SlimConfig) -> Dense:
    """Return the weights of several regressions, `(regressions, features)`, by coordinate descent.

    Each minimises `w @ gram @ w / 2 - products @ w + l1 * sum(w) + l2 * sum(w ** 2) / 2` over
    weights of at least 0.

    Args:
        gram: Products of the features, `(features, regressions, features)`; the features of each
            regression are its own.
        products: Products of the features with the target, `(regressions, features)`.
        config: The penalties.

    Reference:
        Friedman, Hastie & Tibshirani 2010, "Regularization Paths for Generalized Linear Models via
        Coordinate Descent".
    """
    weights, gradient = np.zeros_like(products), products - np.float32(config.l1)
    features = len(gram)
    diagonal = gram[np.arange(features), :, np.arange(features)]
    scale = 1 / np.maximum(diagonal + np.float32(config.l2), 1e-9)
    for _ in range(_SWEEPS):
        largest = 0.0
        for feature in range(features):
            own = weights[:, feature]
            new = np.maximum((gradient[:, feature] + diagonal[feature] * own) * scale[feature], 0)
            change = new - own
            if change.any():
                largest = max(largest, float(np.abs(change).max()))
                gradient -= gram[feature] * change[:, None]
                weights[:, feature] = new
        if largest < _TOLERANCE:
            break
    return weights


def _solve_block(
    gram: Dense, targets: NDArray[np.int64], columns: list[NDArray[np.int64]], config: SlimConfig
) -> sparse.csc_matrix:
    """Return the weights of some targets, `(items, targets)`; `columns` are their candidates."""
    lengths = np.array([len(own) for own in columns])
    width = int(lengths.max(initial=0))
    chosen = np.zeros((len(columns), width), np.int64)
    for row, own in enumerate(columns):
        chosen[row, : len(own)] = own
    products = gram[chosen, targets[:, None]]
    # A padded feature has no product with the target, so its weight stays 0.
    products[np.arange(width) >= lengths[:, None]] = 0
    own_gram = gram[chosen.T[:, :, None], chosen[None, :, :]]
    weights = non_negative_elastic_net(own_gram, products, config)
    target, feature = np.nonzero(weights)
    entries = (weights[target, feature], (chosen[target, feature], target))
    return sparse.csc_matrix(entries, shape=(len(gram), len(columns)))


def _strongest(
    indices: NDArray[np.int32], values: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Return the `count` indices with the largest values, ascending; the first of equal ones."""
    order = np.argsort(-values, kind="stable")[:count]
    return np.sort(indices[order]).astype(np.int64)
