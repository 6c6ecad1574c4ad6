"""Fitting of STAR: co-occurrence of items, and the settings that validation prefers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.scoring.channels.item_item import Dense, Sparse, densify_if_full
from recloop.scoring.channels.star import Star, StarSetting
from recloop.training.channels.fitted_channels import Fitted, FittedChannels, matrix
from recloop.training.channels.grid_search import coordinate_search
from recloop.training.channels.item_item_fitting import fit_item_knn

# Entries of the item-item matrix: 240 MB. Every pair of items is kept where the matrix is smaller.
_MAX_LINKS = 20_000_000
_GRIDS: dict[str, list[Any]] = {
    "semantic": [0.0, 0.1, 0.25, 0.5, 0.75, 1.0],
    "last": [1, 3, 10, 30, 100],
    "decay": [0.5, 0.7, 0.8, 0.9, 0.95, 1.0],
}


def fit_star(channels: FittedChannels, text: NDArray[np.float32]) -> Fitted[Star]:
    """Return STAR with the settings that validation prefers.

    Without an order of interactions, all history items count alike.

    Args:
        channels: The data and the validation requests.
        text: Text vectors of all items, `(items, width)`; zeros for an item without text.
    """
    centred, data = centred_text(text), channels.data
    links = co_occurrence(matrix(data.train))
    ordered = data.train.ordered
    start = StarSetting() if ordered else StarSetting(decay=1.0, last=data.items)
    grids = _GRIDS if ordered else {"semantic": _GRIDS["semantic"]}

    def quality(setting: Mapping[str, Any]) -> float:
        return channels.mean_ndcg(Star(centred, links, StarSetting(**setting)))

    best = StarSetting(**coordinate_search(start.to_dict(), grids, quality))
    final = Star(centred, co_occurrence(matrix(data.past)), best)
    return Fitted(Star(centred, links, best), final, best.to_dict())


def centred_text(text: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit vectors of the texts less their mean; zeros for an item without text.

    Args:
        text: Text vectors, `(items, width)`.
    """
    present = (text != 0).any(1)
    if not present.any():
        return text
    centred = np.where(present[:, None], text - text[present].mean(0), 0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (centred / np.maximum(norms, 1e-9)).astype(np.float32)
    return unit


def co_occurrence(interactions: sparse.csr_matrix) -> Dense | Sparse:
    """Return the cosines of the items' sets of users, `(items, items)`; 1 on the diagonal.

    Args:
        interactions: Binary matrix, `(users, items)`.
    """
    items = interactions.shape[1]
    model = fit_item_knn(interactions, max(1, _MAX_LINKS // items), 1.0)
    spread = sparse.csr_matrix(
        (np.ones(len(model.rows), np.float32), (np.arange(len(model.rows)), model.rows)),
        shape=(len(model.rows), items),
    )
    links = spread.T @ model.weights @ spread + spread.T @ spread
    return densify_if_full(sparse.csr_matrix(links))
