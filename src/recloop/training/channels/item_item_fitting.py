"""Fitting item-item models: EASE and item-kNN on a users × items matrix."""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from recloop.scoring.channels.item_item import Dense, ItemItemModel, Sparse
from recloop.scoring.scorer import History

# Largest number of items of EASE: 4.8 GB of memory while fitting, 1.6 GB afterwards.
MAX_ITEMS = 20_000
# Largest number of items of item-kNN, whose weights are sparse.
_KNN_ITEMS = 100_000
# Similarities that are in memory at once: 256 MB.
_CELLS = 1 << 26


def interaction_matrix(users: History, items: History, catalogue: int) -> sparse.csr_matrix:
    """Return the binary `(users, items)` matrix of interactions.

    Args:
        users: User row of each interaction, `(interactions,)`.
        items: Item row of each interaction, `(interactions,)`.
        catalogue: Number of items.
    """
    ones = np.ones(len(users), np.float32)
    matrix = sparse.csr_matrix((ones, (users, items)), shape=(int(users.max()) + 1, catalogue))
    matrix.data[:] = 1.0
    return matrix


def fit_ease(
    matrix: sparse.csr_matrix, l2: float, decay: float, max_items: int = MAX_ITEMS
) -> ItemItemModel[Dense]:
    """Fit EASE in closed form, on the most popular items.

    Fitting takes about 12 bytes of memory times the square of the covered items.

    Args:
        matrix: Interactions, `(users, items)`.
        l2: Ridge penalty.
        decay: Recency decay of histories.
        max_items: Largest number of items.

    Reference:
        Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data".
    """
    rows = most_popular(matrix, max_items)
    gram = torch.from_numpy(gram_matrix(matrix[:, rows].astype(np.float32)))
    gram.diagonal().add_(l2)
    torch.linalg.cholesky(gram, out=gram)
    weights = torch.cholesky_inverse(gram)
    weights /= -weights.diagonal()
    weights.fill_diagonal_(0.0)
    return ItemItemModel(weights.contiguous().numpy(), rows, matrix.shape[1], decay)


def gram_matrix(matrix: sparse.csr_matrix) -> Dense:
    """Return dense `matrix.T @ matrix`, `(items, items)`, for a matrix `(users, items)`.

    It is computed in blocks, since its sparse form is larger.
    """
    columns, items = sparse.csr_matrix(matrix.T), matrix.shape[1]
    gram, width = np.empty((items, items), np.float32), max(1, _CELLS // items)
    for start in range(0, items, width):
        gram[start : start + width] = (columns[start : start + width] @ matrix).toarray()
    return gram


def fit_item_knn(
    matrix: sparse.csr_matrix, neighbours: int, decay: float, max_items: int = _KNN_ITEMS
) -> ItemItemModel[Sparse]:
    """Fit item-kNN with cosine similarity, on the most popular items.

    Args:
        matrix: Interactions, `(users, items)`.
        neighbours: Number of most similar items that each item keeps.
        decay: Recency decay of histories.
        max_items: Largest number of items.

    Reference:
        Deshpande & Karypis 2004, "Item-Based Top-N Recommendation Algorithms".
    """
    rows = most_popular(matrix, max_items)
    chosen = matrix[:, rows].tocsc()
    norms = np.sqrt(np.asarray(chosen.sum(0)).ravel())
    unit = sparse.csc_matrix(chosen @ sparse.diags(1 / np.maximum(norms, 1e-9)))
    links = strongest_links(unit, unit, neighbours)
    return ItemItemModel(links, rows, matrix.shape[1], decay)


def strongest_links(left: sparse.csc_matrix, right: sparse.csc_matrix, count: int) -> Sparse:
    """Return the `count` largest entries of each column of `left.T @ right`, without the diagonal.

    Args:
        left: Matrix `(users, items)`.
        right: Matrix of the same shape.
        count: Entries of each column that are kept; more if several equal the smallest of them.
    """
    items = left.shape[1]
    kept, width = min(count, items), max(1, _CELLS // items)
    parts = []
    for start in range(0, items, width):
        similarity = sparse.csc_matrix(left.T @ right[:, start : start + width])
        for column, (first, end) in enumerate(itertools.pairwise(similarity.indptr)):
            values = similarity.data[first:end]
            values[similarity.indices[first:end] == start + column] = 0.0
            if len(values) > kept:
                values[values < np.partition(values, -kept)[-kept]] = 0.0
        similarity.eliminate_zeros()
        parts.append(similarity)
    return sparse.csr_matrix(sparse.hstack(parts, "csr", np.float32))


def most_popular(matrix: sparse.csr_matrix, count: int) -> NDArray[np.int64]:
    """Return the rows of the most popular items, at most `count`, ascending; none without users.

    Args:
        matrix: Interactions, `(users, items)`.
        count: Largest number of items.
    """
    popularity = np.asarray(matrix.sum(0)).ravel()
    seen = int((popularity > 0).sum())
    order = np.argsort(-popularity, kind="stable")
    return np.sort(order[: min(count, seen)])
