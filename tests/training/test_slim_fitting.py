"""Tests of SLIM against the elastic net of scikit-learn, and of the candidates of each item."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import ElasticNet

from recloop.training.channels.slim_fitting import SlimConfig, fit_slim, non_negative_elastic_net

USERS, ITEMS = 40, 8


def interactions() -> np.ndarray:
    """Return a random binary matrix in which items 1 and 2 often follow item 0."""
    rng = np.random.default_rng(7)
    matrix = (rng.random((USERS, ITEMS)) < 0.3).astype(np.float32)
    for item in (1, 2):
        matrix[:, item] = np.where(rng.random(USERS) < 0.7, matrix[:, 0], matrix[:, item])
    return matrix


def dense_weights(matrix: np.ndarray, config: SlimConfig, candidates: int = 200) -> np.ndarray:
    return fit_slim(sparse.csr_matrix(matrix), config, 1.0, candidates).weights.toarray()


@pytest.mark.parametrize(("l1", "l2"), [(0.5, 1.0), (1.0, 10.0), (3.0, 4.0)])
def test_weights_are_those_of_scikit_learn(l1: float, l2: float) -> None:
    matrix = interactions()
    weights = dense_weights(matrix, SlimConfig(l1=l1, l2=l2))
    # scikit-learn divides the squared error by the number of rows, and so our penalties.
    ours = ElasticNet(
        alpha=(l1 + l2) / USERS,
        l1_ratio=l1 / (l1 + l2),
        positive=True,
        fit_intercept=False,
        tol=1e-8,
    )
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        expected = ours.fit(matrix[:, others].astype(np.float64), matrix[:, item]).coef_
        assert weights[others, item] == pytest.approx(expected, abs=1e-3)
    assert (weights > 0).any()
    assert np.diag(weights).tolist() == [0] * ITEMS


def test_no_small_change_of_a_weight_is_better() -> None:
    matrix, config = interactions().astype(np.float64), SlimConfig(l1=1.0, l2=10.0)
    weights = dense_weights(matrix, config)
    gradient = matrix.T @ (matrix @ weights - matrix) + config.l2 * weights + config.l1
    positive, zero = weights > 0, (weights == 0) & ~np.eye(ITEMS, dtype=bool)
    assert positive.any()
    assert zero.any()
    assert np.abs(gradient[positive]).max() < 1e-2
    assert gradient[zero].min() > -1e-2


def test_one_feature_by_hand() -> None:
    # (product - l1) / (square + l2), and 0 where the penalty is larger than the product.
    config = SlimConfig(l1=1.0, l2=2.0)
    gram = np.array([[[4.0], [4.0]]], np.float32)
    products = np.array([[3.0], [0.5]], np.float32)
    assert non_negative_elastic_net(gram, products, config) == pytest.approx(
        np.array([[(3 - 1) / (4 + 2)], [0]])
    )


def test_only_the_most_similar_items_have_weights() -> None:
    matrix = interactions()
    weights = dense_weights(matrix, SlimConfig(l1=0.1, l2=0.1), candidates=2)
    norms = np.linalg.norm(matrix, axis=0)
    cosines = matrix.T @ matrix / np.outer(norms, norms)
    np.fill_diagonal(cosines, -1)
    assert ((weights > 0).sum(0) <= 2).all()
    for item in range(ITEMS):
        second = np.sort(cosines[:, item])[-2]
        assert (cosines[weights[:, item] > 0, item] >= second - 1e-6).all()


def test_items_without_users_or_company() -> None:
    # Item 2 is alone with its user, and nobody has item 3.
    matrix = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], np.float32)
    model = fit_slim(sparse.csr_matrix(matrix), SlimConfig(l1=0.5, l2=1.0), 1.0)
    assert model.rows.tolist() == [0, 1, 2]
    assert model.score([np.array([0])])[0] == pytest.approx([0, (2 - 0.5) / (2 + 1), 0, 0])
    assert model.score([np.array([2, 3])])[0].tolist() == [0] * 4


def test_only_popular_items_are_covered() -> None:
    matrix = sparse.csr_matrix(interactions())
    popular = np.sort(np.argsort(-np.asarray(matrix.sum(0)).ravel(), kind="stable")[:3])
    assert fit_slim(matrix, SlimConfig(), 1.0, max_items=3).rows.tolist() == popular.tolist()
