"""Fitting of the item graph: transition weights, and the settings that validation prefers."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.data.interaction_log import InteractionLog
from recloop.scoring.channels.item_graph import ItemGraphWalk
from recloop.scoring.channels.item_item import Dense, Sparse, densify_if_full, no_links
from recloop.training.channels.fitted_channels import Fitted, FittedChannels, matrix
from recloop.training.channels.grid_search import coordinate_search
from recloop.training.channels.item_item_fitting import strongest_links

# Largest number of pairs of steps that are counted; a longer window is not tried.
_MAX_PAIRS = 50_000_000
# Entries of the matrix of RP3beta, as in STAR.
_MAX_LINKS = 20_000_000
_DAMPINGS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
_START: dict[str, Any] = {"window": 10, "last": 1, "decay": 0.8, "damping": 0.0, "two_steps": 0.0}
_GRIDS: dict[str, list[Any]] = {
    "last": [1, 2, 5, 10, 30],
    "decay": [0.5, 0.7, 0.8, 0.9],
    "damping": _DAMPINGS,
    "window": [1, 3, 10, 30, 100],
    "two_steps": [0.0, 0.1, 0.25, 0.5, 1.0],
}
_UNORDERED_START: dict[str, Any] = {"alpha": 1.0, "damping": 0.6}
_UNORDERED_GRIDS: dict[str, list[Any]] = {
    "alpha": [0.4, 0.6, 0.8, 1.0, 1.2, 1.5],
    "damping": _DAMPINGS,
}

Graph = tuple[Dense | Sparse, NDArray[np.float32]]


def fit_graph(channels: FittedChannels) -> Fitted[ItemGraphWalk]:
    """Return the walk over transitions of the same user, with the settings validation prefers.

    Without an order of interactions it is RP3beta: each history item links to the items of its
    users.
    """
    train, past = channels.data.train, channels.data.past
    # The best graph so far and the one that is tried, since a dense graph may take gigabytes.
    build = lru_cache(maxsize=2)(lambda shape: _graph(train, shape))

    def quality(setting: Mapping[str, Any]) -> float:
        return channels.mean_ndcg(_walk(build(_shape(setting)), setting))

    if train.ordered:
        longest = max(1, _MAX_PAIRS // max(len(train), 1))
        start = {**_START, "window": min(_START["window"], longest)}
        windows = [window for window in _GRIDS["window"] if window <= longest]
        best = coordinate_search(start, {**_GRIDS, "window": windows}, quality)
    else:
        best = coordinate_search(_UNORDERED_START, _UNORDERED_GRIDS, quality)
    shape = _shape(best)
    return Fitted(_walk(build(shape), best), _walk(_graph(past, shape), best), best)


def transition_weights(log: InteractionLog, window: int) -> Sparse:
    """Return how often an item (row) is followed by another, `(items, items)`.

    A pair of steps of one user counts 1 / their distance, if the distance is at most `window`.

    Reference:
        Kamehkhosh, Jannach & Ludewig 2017, "A Comparison of Frequent Pattern Techniques and a Deep
        Learning Method for Session-Based Recommendation" (sequential rules).
        Ludewig & Jannach 2018, "Evaluation of Session-Based Recommendation Algorithms".
    """
    users, shape = log.user_rows(), (log.catalogue, log.catalogue)
    total = no_links(log.catalogue)
    for distance in range(1, min(window, max(len(log) - 1, 0)) + 1):
        same = np.flatnonzero(users[distance:] == users[:-distance])
        if not len(same):
            break
        counted = np.full(len(same), 1 / distance, np.float32)
        pairs = (log.items[same], log.items[same + distance])
        total = sparse.csr_matrix(total + sparse.csr_matrix((counted, pairs), shape=shape))
    return total


def rp3_weights(interactions: sparse.csr_matrix, alpha: float) -> Sparse:
    """Return the weights of the walks item → user → item, `(items, items)`.

    Each step's probability is raised to the power of `alpha`. Of each column the largest weights
    are kept, 20 million in all.

    Args:
        interactions: Binary matrix, `(users, items)`.
        alpha: Exponent of the probabilities.

    Reference:
        Paudel et al. 2017, "Updatable, Accurate, Diverse, and Scalable Recommendations for
        Interactive Applications".
    """
    to_users, to_items = _powered(interactions, 0, alpha), _powered(interactions, 1, alpha)
    return strongest_links(to_users, to_items, max(1, _MAX_LINKS // interactions.shape[1]))


def _graph(log: InteractionLog, shape: tuple[str, float]) -> Graph:
    """Return transitions and degrees of the items; the shape is the window or alpha."""
    name, value = shape
    if name == "alpha":
        return densify_if_full(rp3_weights(matrix(log), value)), log.counts()
    weights = transition_weights(log, int(value))
    outgoing = np.asarray(weights.sum(1)).ravel()
    incoming = np.asarray(weights.sum(0), np.float32).ravel()
    stochastic = sparse.diags(1 / np.maximum(outgoing, 1e-9)) @ weights
    return densify_if_full(sparse.csr_matrix(stochastic, dtype=np.float32)), incoming


def _shape(setting: Mapping[str, Any]) -> tuple[str, float]:
    name = "window" if "window" in setting else "alpha"
    return name, setting[name]


def _walk(graph: Graph, setting: Mapping[str, Any]) -> ItemGraphWalk:
    transitions, degrees = graph
    return ItemGraphWalk(
        transitions,
        degrees,
        last=setting.get("last", len(degrees)),
        decay=setting.get("decay", 1.0),
        two_steps=setting.get("two_steps", 0.0),
        damping=setting["damping"],
    )


def _powered(interactions: sparse.csr_matrix, axis: int, alpha: float) -> sparse.csc_matrix:
    """Return the entries divided by the sums along an axis, raised to the power of `alpha`."""
    sums = np.maximum(np.asarray(interactions.sum(axis)).ravel(), 1)
    scale = sparse.diags((1 / sums**alpha).astype(np.float32))
    return sparse.csc_matrix(interactions @ scale if axis == 0 else scale @ interactions)
