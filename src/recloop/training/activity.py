"""Weights of their own for the less and the more active, where validation says that they pay.

What somebody new is best answered with is not what somebody with a long history is. Requests are cut
by the length of their histories into thirds; each third gets weights that are pulled towards those of
all. They are kept only where they explain requests better that they were not fitted on.
"""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.models.logit import Choices, Weights, fit_logit

_FOLDS = 4
# A third with fewer requests than these keeps the weights of all.
_FEWEST = 100
# How strongly weights are pulled towards those of all: 0 is not at all.
_PULL = 0.02
# In standard errors of the mean gain, how sure it must be.
_SURE = 2.0


def fit_activity(
    choices: Choices, lengths: Rows, users: Rows, weights: Weights, seed: int
) -> dict[int, Weights]:
    """`{least length of history: weights}`, ascending; empty where one set serves all as well.

    Args:
        choices: of the validation requests.
        lengths: `(requests,)`, of their histories.
        weights: `(channels,)`, those of all requests.
        users: `(requests,)`, who asks: one person's requests are alike, and stay together.
        seed: of the folds.
    """
    edges = _edges(lengths)
    if edges == [0]:
        return {}
    group = np.searchsorted(edges, lengths, side="right") - 1
    _, users = np.unique(users, return_inverse=True)
    folds = (np.random.default_rng(seed).permutation(users.max() + 1) % _FOLDS)[users]
    gains = np.zeros(len(lengths))
    for fold in range(_FOLDS):
        fitted, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        common = fit_logit(choices.take(fitted))
        apart = _each(choices.take(fitted), group[fitted], len(edges), common)
        for number, own in enumerate(apart):
            rows = held[group[held] == number]
            part = choices.take(rows)
            gains[rows] = part.surprise(common) - part.surprise(own)
    if not _sure(np.bincount(users, gains).astype(np.float64)):
        return {}
    return dict(zip(edges, _each(choices, group, len(edges), weights), strict=True))


def _edges(lengths: Rows) -> list[int]:
    """Least lengths of the thirds, those merged that would be too small."""
    edges = [0]
    for share in (1 / 3, 2 / 3):
        edge = int(np.quantile(lengths, share)) if len(lengths) else 0
        enough = ((lengths >= edges[-1]) & (lengths < edge)).sum() >= _FEWEST
        if edge > edges[-1] and enough and (lengths >= edge).sum() >= _FEWEST:
            edges.append(edge)
    return edges


def _each(choices: Choices, group: Rows, groups: int, towards: Weights) -> list[Weights]:
    return [
        fit_logit(choices.take(np.flatnonzero(group == number)), _PULL, towards)
        for number in range(groups)
    ]


def _sure(gains: NDArray[np.float64]) -> bool:
    """`gains` `(users,)`: what each person's requests gained."""
    error = gains.std() / np.sqrt(len(gains))
    return bool(gains.mean() > _SURE * error)
