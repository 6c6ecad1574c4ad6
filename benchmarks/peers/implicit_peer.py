"""Peer implicit (Ben Frederickson): ALS for implicit feedback, and item-item neighbours.

Lists are computed from the history of the request. For that, ALS solves for the user's vector
again; the neighbour models need no user vector.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.peers.common import (
    DEPTH,
    Fitted,
    Lists,
    Peer,
    Setting,
    Validation,
    history_cells,
    run,
)

SEED = 42
# implicit fills up short lists with item -1, or with items whose scores are at most this.
LOWEST_SCORE = -1e30

warnings.filterwarnings("ignore", module="implicit")


class Implicit:
    """Fitted model of implicit, with its item ids."""

    def __init__(self, model: Any, items: pd.Index, recalculate: dict[str, bool]) -> None:
        self.model, self.items, self._recalculate = model, items, recalculate

    def rank(self, requests: pd.DataFrame, mask: bool) -> Lists:
        rows, columns = history_cells(requests, self.items)
        shape = len(requests), len(self.items)
        histories = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
        ids, scores = self.model.recommend(
            np.arange(len(requests)),
            histories,
            N=DEPTH,
            filter_already_liked_items=mask,
            **self._recalculate,
        )
        names = self.items.to_numpy()
        return [
            [names[i] for i, score in zip(row, own, strict=True) if i >= 0 and score > LOWEST_SCORE]
            for row, own in zip(ids, scores, strict=True)
        ]


def interaction_matrix(rows: pd.DataFrame) -> tuple[sparse.csr_matrix, pd.Index]:
    """Return the interactions as a matrix of users and items, and the ids of the items."""
    users, _ = pd.factorize(rows["user_id"])
    items, names = pd.factorize(rows["item_id"])
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (users, items))), pd.Index(names)


def fit_als(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit ALS (Hu, Koren & Volinsky 2008); seen items have confidence `alpha`."""
    del validation
    matrix, items = interaction_matrix(rows)
    model = AlternatingLeastSquares(**setting, random_state=SEED, num_threads=0)
    with threadpool_limits(1, user_api="blas"):
        model.fit(matrix, show_progress=False)
    return Fitted(Implicit(model, items, {"recalculate_user": True}), setting)


def _fit_neighbours(kind: Any, rows: pd.DataFrame, setting: Setting) -> Fitted:
    matrix, items = interaction_matrix(rows)
    model = kind(**setting)
    model.fit(matrix, show_progress=False)
    return Fitted(Implicit(model, items, {}), setting)


def fit_bm25(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit neighbours by BM25-weighted similarity."""
    del validation
    return _fit_neighbours(BM25Recommender, rows, setting)


def fit_cosine(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit neighbours by cosine similarity."""
    del validation
    return _fit_neighbours(CosineRecommender, rows, setting)


PEERS = {
    "implicit-als": Peer(
        fit_als,
        [
            {"factors": factors, "regularization": l2, "alpha": alpha, "iterations": 15}
            for factors in (32, 64, 128)
            for l2 in (1.0, 10.0, 50.0)
            for alpha in (1.0, 5.0, 20.0)
        ],
    ),
    "implicit-bm25": Peer(
        fit_bm25,
        [
            {"K": k, "K1": k1, "B": b}
            for k in (20, 100, 800)
            for k1 in (1.2, 100.0)
            for b in (0.2, 0.8)
        ],
    ),
    "implicit-cosine": Peer(fit_cosine, [{"K": k} for k in (20, 50, 100, 200, 800)]),
}

if __name__ == "__main__":
    run(PEERS, ["implicit", "numpy", "scipy", "pandas"])
