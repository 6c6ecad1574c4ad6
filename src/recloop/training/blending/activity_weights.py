"""Blend weights by activity: separate weights for users with short and with long histories.

Requests are divided by the length of their histories into thirds. Each third gets weights that are
shrunk to those of all requests. They are kept only if cross-validation gains by them.
"""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.conditional_logit import Choices, Weights, fit_conditional_logit

_FOLDS = 4
# A third with fewer requests than these keeps the weights of all.
_FEWEST = 100
# Strength of the shrinkage towards the weights of all requests; 0 is none.
_PULL = 0.02
# Smallest mean gain that counts, in standard errors.
_SURE = 2.0


def fit_activity_weights(
    choices: Choices, lengths: Rows, users: Rows, weights: Weights, seed: int
) -> dict[int, Weights]:
    """Return blend weights by the smallest length of history, ascending; empty without a gain.

    Args:
        choices: Choices in the validation requests.
        lengths: Lengths of their histories, `(requests,)`.
        weights: Weights of all requests, `(channels,)`.
        users: Users of the requests, `(requests,)`; requests of one user stay in one fold.
        seed: Seed of the folds.
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
        common = fit_conditional_logit(choices.take(fitted))
        apart = _each(choices.take(fitted), group[fitted], len(edges), common)
        for number, own in enumerate(apart):
            rows = held[group[held] == number]
            part = choices.take(rows)
            gains[rows] = part.nll(common) - part.nll(own)
    if not _sure(np.bincount(users, gains).astype(np.float64)):
        return {}
    return dict(zip(edges, _each(choices, group, len(edges), weights), strict=True))


def _edges(lengths: Rows) -> list[int]:
    """Return the smallest length of each third of `lengths` `(requests,)`.

    Thirds that would be too small are merged.
    """
    edges = [0]
    for share in (1 / 3, 2 / 3):
        edge = int(np.quantile(lengths, share)) if len(lengths) else 0
        enough = ((lengths >= edges[-1]) & (lengths < edge)).sum() >= _FEWEST
        if edge > edges[-1] and enough and (lengths >= edge).sum() >= _FEWEST:
            edges.append(edge)
    return edges


def _each(choices: Choices, group: Rows, groups: int, towards: Weights) -> list[Weights]:
    return [
        fit_conditional_logit(choices.take(np.flatnonzero(group == number)), _PULL, towards)
        for number in range(groups)
    ]


def _sure(gains: NDArray[np.float64]) -> bool:
    """Return whether the gain is significant; `gains` are those of each user, `(users,)`."""
    error = gains.std() / np.sqrt(len(gains))
    return bool(gains.mean() > _SURE * error)
