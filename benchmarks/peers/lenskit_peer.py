"""Peer LensKit: EASE, item-kNN and implicit matrix factorisation.

Its scorers are called directly with the history of the request, so that interactions of the user
after the training data count as well.
"""

from typing import Any

import numpy as np
import pandas as pd
from lenskit.als import ImplicitMFScorer
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer
from lenskit.training import TrainingOptions

from benchmarks.peers.common import (
    Fitted,
    Lists,
    Peer,
    Setting,
    Validation,
    history_cells,
    run,
    top_items,
)

SEED = 42


class LensKit:
    """Fitted scorer of LensKit."""

    def __init__(self, scorer: Any, items: pd.Index) -> None:
        self._scorer, self._items = scorer, items

    def rank(self, requests: pd.DataFrame, mask: bool) -> Lists:
        everything = ItemList(item_ids=self._items.to_numpy())
        scores = np.full((len(requests), len(self._items)), np.nan, np.float32)
        for row, history in enumerate(requests["history"]):
            if len(history) == 0:
                continue
            query = RecQuery(history_items=ItemList(item_ids=list(history)))
            scores[row] = self._scorer(query, everything).scores()
        seen = history_cells(requests, self._items) if mask else None
        return top_items(scores, self._items, seen)


def _fit(scorer: Any, rows: pd.DataFrame, setting: Setting) -> Fitted:
    data = from_interactions_df(rows[["user_id", "item_id"]])
    scorer.train(data, TrainingOptions(rng=SEED))
    return Fitted(LensKit(scorer, pd.Index(data.items.ids())), setting)


def fit_ease(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit EASE (Steck 2019)."""
    del validation
    return _fit(EASEScorer(**setting), rows, setting)


def fit_item_knn(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit item-kNN (Deshpande & Karypis 2004)."""
    del validation
    return _fit(ItemKNNScorer(**setting, feedback="implicit"), rows, setting)


def fit_implicit_mf(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit ALS (Hu, Koren & Volinsky 2008).

    User vectors are solved from the history of the request.
    """
    del validation
    return _fit(ImplicitMFScorer(**setting, user_embeddings=False), rows, setting)


PEERS = {
    "lenskit-ease": Peer(
        fit_ease, [{"regularization": l2} for l2 in (10.0, 50.0, 100.0, 300.0, 600.0, 1200.0)]
    ),
    "lenskit-itemknn": Peer(
        fit_item_knn,
        [{"max_nbrs": k, "save_nbrs": saved} for k in (20, 50, 100, 800) for saved in (100, None)],
    ),
    "lenskit-implicitmf": Peer(
        fit_implicit_mf,
        [
            {"embedding_size": size, "regularization": l2, "weight": weight, "epochs": 15}
            for size in (32, 64, 128)
            for l2 in (0.1, 1.0, 10.0)
            for weight in (5.0, 20.0, 40.0)
        ],
    ),
}

if __name__ == "__main__":
    run(PEERS, ["lenskit", "torch", "numpy", "scipy", "pandas"])
