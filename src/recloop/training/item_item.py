"""Fitting item-item models: EASE and item-kNN on a users × items matrix."""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from recloop.models.item_item import Dense, ItemItem, Sparse
from recloop.models.scorer import History

# Of EASE: 4.8 GB while fitting, 1.6 GB fitted.
MAX_ITEMS = 20_000
# Of item-kNN, whose weights are sparse.
_KNN_ITEMS = 100_000
# Similarities that are in memory at once: 256 MB.
_CELLS = 1 << 26


def interaction_matrix(users: History, items: History, catalogue: int) -> sparse.csr_matrix:
    """Binary users × items matrix from parallel arrays of row numbers."""
    ones = np.ones(len(users), np.float32)
    matrix = sparse.csr_matrix((ones, (users, items)), shape=(int(users.max()) + 1, catalogue))
    matrix.data[:] = 1.0
    return matrix


def fit_ease(
    matrix: sparse.csr_matrix, l2: float, decay: float, max_items: int = MAX_ITEMS
) -> ItemItem[Dense]:
    """EASE in closed form (Steck 2019), over the `max_items` most popular items.

    Memory is about 12 bytes times the square of the items covered, while it is fitted.
    """
    rows = _most_popular(matrix, max_items)
    gram = torch.from_numpy(_gram(matrix[:, rows].astype(np.float32)))
    gram.diagonal().add_(l2)
    torch.linalg.cholesky(gram, out=gram)
    weights = torch.cholesky_inverse(gram)
    weights /= -weights.diagonal()
    weights.fill_diagonal_(0.0)
    return ItemItem(weights.contiguous().numpy(), rows, matrix.shape[1], decay)


def _gram(matrix: sparse.csr_matrix) -> Dense:
    """Dense `matrix.T @ matrix`, a block at a time: as a whole, its sparse form is larger still."""
    columns, items = sparse.csr_matrix(matrix.T), matrix.shape[1]
    gram, width = np.empty((items, items), np.float32), max(1, _CELLS // items)
    for start in range(0, items, width):
        gram[start : start + width] = (columns[start : start + width] @ matrix).toarray()
    return gram


def fit_item_knn(
    matrix: sparse.csr_matrix, neighbours: int, decay: float, max_items: int = _KNN_ITEMS
) -> ItemItem[Sparse]:
    """Cosine item-kNN: each candidate keeps its `neighbours` most similar items."""
    rows = _most_popular(matrix, max_items)
    chosen = matrix[:, rows].tocsc()
    norms = np.sqrt(np.asarray(chosen.sum(0)).ravel())
    unit = sparse.csc_matrix(chosen @ sparse.diags(1 / np.maximum(norms, 1e-9)))
    kept, width = min(neighbours, len(rows)), max(1, _CELLS // len(rows))
    parts = []
    for start in range(0, len(rows), width):
        similarity = sparse.csc_matrix(unit.T @ unit[:, start : start + width])
        for place, (first, end) in enumerate(itertools.pairwise(similarity.indptr)):
            values = similarity.data[first:end]
            values[similarity.indices[first:end] == start + place] = 0.0
            if len(values) > kept:
                values[values < np.partition(values, -kept)[-kept]] = 0.0
        similarity.eliminate_zeros()
        parts.append(similarity)
    return ItemItem(sparse.hstack(parts, "csr", np.float32), rows, matrix.shape[1], decay)


def _most_popular(matrix: sparse.csr_matrix, count: int) -> NDArray[np.int64]:
    popularity = np.asarray(matrix.sum(0)).ravel()
    seen = int((popularity > 0).sum())
    order = np.argsort(-popularity, kind="stable")
    return np.sort(order[: min(count, seen)])
