"""Baselines of click-through prediction, tuned on validation rows and then fitted to all rows."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from scipy import sparse

from recloop.ctr.log import Doubles, Floats, Ints, Log
from recloop.ctr.metrics import quality
from recloop.ctr.models.additive import fit_bias, sigmoid
from recloop.ctr.models.calibration import fit_calibration
from recloop.ctr.models.factors import fit_factors, grid, item_cosines, products
from recloop.ctr.problem import Problem

_CHUNK = 1_000
_MAX_ITEMS = 5_000

# Scores rows by the labels of past rows, with one point of the grid: (past, rows, problem, point) →
# `(rows,)`.
Score = Callable[[Log, Log, Problem, tuple[float, ...]], Doubles]


def tuned(problem: Problem, score: Score, *values: Sequence[float]) -> Doubles:
    """Return probabilities of the test rows, with the settings that are best on validation rows.

    Args:
        problem: Rows and texts.
        score: Scores rows by the labels of other rows, with given settings.
        values: Values to try of each setting; all combinations are tried.

    Returns:
        Calibrated probabilities, `(test rows,)`, float64.
    """
    tried = [
        (point, score(problem.train, problem.valid, problem, point)) for point in product(*values)
    ]
    labels, users = problem.valid.labels, problem.valid.users
    point, scores = max(tried, key=lambda one: quality(users, labels, one[1]))
    calibrated = fit_calibration(scores, labels)
    return calibrated(score(problem.train_and_valid, problem.test, problem, point))


def popularity(problem: Problem) -> Doubles:
    """Return probabilities `(test rows,)` by the item's mean label, shrunk to the overall mean."""

    def score(past: Log, rows: Log, problem: Problem, point: tuple[float, ...]) -> Doubles:
        likes = np.bincount(past.items, past.labels, problem.shape[1])
        count = np.bincount(past.items, minlength=problem.shape[1])
        mean: Doubles = (likes + point[0] * past.labels.mean()) / (count + point[0])
        return mean[rows.items]

    return tuned(problem, score, (1, 3, 10, 30, 100))


def user_item_bias(problem: Problem) -> Doubles:
    """Return probabilities `(test rows,)` of a ridge logistic regression on user and item."""

    def score(past: Log, rows: Log, problem: Problem, point: tuple[float, ...]) -> Doubles:
        bias = fit_bias(past, *problem.shape, point[0], user_l2=point[1])
        return bias.logits(rows.users, rows.items)

    return tuned(problem, score, (1, 3, 10), (1, 3, 10))


def matrix_factorisation(problem: Problem) -> Doubles:
    """Return probabilities `(test rows,)` by user and item effects plus low-rank factors.

    Reference:
        Koren, Bell & Volinsky 2009, "Matrix Factorization Techniques for Recommender Systems".
    """

    def score(past: Log, rows: Log, problem: Problem, point: tuple[float, ...]) -> Doubles:
        base, left = _residuals(past, rows, problem)
        user, item = fit_factors(past, left, problem.shape, int(point[0]), point[1])
        return base + products(user, item, rows.users, rows.items)

    return tuned(problem, score, (8, 16, 32), (3, 6, 12))


def item_knn(problem: Problem) -> Doubles:
    """Return probabilities `(test rows,)` by user and item effects plus residuals of similar items.

    Reference:
        Koren 2010, "Factor in the Neighbors: Scalable and Accurate Collaborative Filtering".
    """

    def score(past: Log, rows: Log, problem: Problem, point: tuple[float, ...]) -> Doubles:
        base, left = _residuals(past, rows, problem)
        popular = np.argsort(-np.bincount(past.items, minlength=problem.shape[1]), kind="stable")
        chosen = popular[:_MAX_ITEMS]
        values = grid(past, left, problem.shape)[:, chosen]
        ones = grid(past, np.ones(len(past), np.float32), problem.shape)[:, chosen]
        weights = _nearest(item_cosines(values, ones, point[1]), int(point[0]))
        column = np.full(problem.shape[1], -1)
        column[chosen] = np.arange(len(chosen))
        return base + _weighted(values, ones, weights, rows.users, column[rows.items])

    return tuned(problem, score, (20, 50, 200), (10, 50))


def text_preference(problem: Problem) -> Doubles:
    """Return probabilities `(test rows,)` by the item text's similarity to what the user liked."""

    def score(past: Log, rows: Log, problem: Problem, point: tuple[float, ...]) -> Doubles:
        if problem.text is None:
            return np.zeros(len(rows))
        left = (past.labels - past.labels.mean()).astype(np.float32)
        values = grid(past, left, problem.shape)
        counts = np.bincount(past.users, minlength=problem.shape[0]) + 1.0
        profiles = np.asarray(values @ problem.text) / (counts ** point[0])[:, None]
        return products(profiles.astype(np.float32), problem.text, rows.users, rows.items).astype(
            np.float64
        )

    return tuned(problem, score, (0.0, 0.5, 1.0))


BASELINES: dict[str, Callable[[Problem], Doubles]] = {
    "popularity": popularity,
    "user-item-bias": user_item_bias,
    "item-knn": item_knn,
    "mf": matrix_factorisation,
    "text": text_preference,
}


def _residuals(past: Log, rows: Log, problem: Problem) -> tuple[Doubles, Floats]:
    """Return the additive model's probabilities of `rows` and its residuals on `past`.

    Both have the shape `(rows,)` of their log.
    """
    bias = fit_bias(past, *problem.shape, 4.0)
    left = past.labels - sigmoid(bias.logits(past.users, past.items))
    return sigmoid(bias.logits(rows.users, rows.items)), left.astype(np.float32)


def _nearest(cosines: Floats, neighbours: int) -> Floats:
    """Keep the largest positive entries of each column."""
    kept = min(neighbours, len(cosines))
    weakest = np.partition(cosines, -kept, axis=0)[-kept]
    return np.where((cosines >= weakest) & (cosines > 0), cosines, 0).astype(np.float32)


def _weighted(
    values: sparse.csr_matrix, ones: sparse.csr_matrix, weights: Floats, users: Ints, items: Ints
) -> Doubles:
    """Return the similarity-weighted mean residual of each pair, `(pairs,)`; 0 for items of −1.

    Args:
        values: Residuals, `(users, covered items)`.
        ones: 1 where there is a residual, `(users, covered items)`.
        weights: Similarities, `(covered items, covered items)`.
        users: User of each pair, `(pairs,)`.
        items: Covered item of each pair, `(pairs,)`.
    """
    found = np.zeros(len(users))
    order = np.argsort(users, kind="stable")
    who, starts = np.unique(users[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    for first in range(0, len(who), _CHUNK):
        some = slice(first, first + _CHUNK)
        rows = order[starts[some][0] : ends[some][-1]]
        local = np.searchsorted(who[some], users[rows])
        top = (values[who[some]] @ weights)[local, items[rows]]
        bottom = (ones[who[some]] @ weights)[local, items[rows]]
        found[rows] = np.where(items[rows] >= 0, top / (bottom + 1.0), 0.0)
    return found
