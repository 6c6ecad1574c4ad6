"""Minimal service of a peer with FastAPI and uvicorn; the model is fitted at start-up.

`python -m benchmarks.serving.peer_service FOLDER MODEL PORT WORKERS` runs in the peer's environment
without recloop. Every worker fits its own model. The service answers the requests of
`Calls.user_requests` from the histories that were fitted; it has no route for events.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import BaseModel

# Chosen on validation data of MovieLens-100K (benchmarks/results/peers-ml-100k-leave-one-out.json),
# except for the epochs: the values of the weights do not change the latency.
SETTINGS: dict[str, dict[str, Any]] = {
    "implicit-als": {"factors": 64, "regularization": 10.0, "alpha": 1.0, "iterations": 15},
    "rectools-sasrec": {
        "n_factors": 64,
        "n_heads": 2,
        "n_blocks": 2,
        "dropout_rate": 0.2,
        "lr": 1e-3,
        "batch_size": 128,
        "session_max_len": 50,
        "patience": 1,
        "epochs": 1,
    },
}

# Function of user, k and a mask of allowed items that returns item ids and scores.
Answer = Callable[[str, int, NDArray[np.bool_]], tuple[list[str], list[float]]]


class Filters(BaseModel):
    """Filters of recloop's requests."""

    categories: list[str] = []


class RecommendRequest(BaseModel):
    """Request in recloop's format."""

    user_id: str
    k: int = 10
    filters: Filters = Filters()
    exclude: list[str] = []


class Allowed:
    """Masks of the items that a request allows, in the order of `ids`."""

    def __init__(self, items: pd.DataFrame, ids: pd.Index) -> None:
        self._ids = ids
        categories = items.set_index("item_id")["categories"].loc[ids].explode()
        self._of = {
            name: ids.get_indexer(rows.index) for name, rows in categories.groupby(categories)
        }

    def mask(self, request: RecommendRequest) -> NDArray[np.bool_]:
        """Return whether each item is allowed, shape `(items,)`, bool."""
        allowed = np.full(len(self._ids), not request.filters.categories)
        for name in request.filters.categories:
            allowed[self._of.get(name, [])] = True
        excluded = self._ids.get_indexer(pd.Index(request.exclude))
        allowed[excluded[excluded >= 0]] = False
        return allowed


def als(rows: pd.DataFrame) -> tuple[Answer, pd.Index]:
    """Fit ALS of implicit; seen items are excluded from its lists."""
    peer = import_module("benchmarks.peers.implicit_peer")
    fitted = peer.fit_als(rows, SETTINGS["implicit-als"], None).ranker
    model, ids = fitted.model, fitted.items
    histories, _ = peer.interaction_matrix(rows)
    users = {user: row for row, user in enumerate(pd.factorize(rows["user_id"])[1])}

    def answer(user: str, k: int, allowed: NDArray[np.bool_]) -> tuple[list[str], list[float]]:
        row = users[user]
        found, scores = model.recommend(
            row, histories[row], N=k, filter_items=np.flatnonzero(~allowed)
        )
        real = (found >= 0) & (scores > peer.LOWEST_SCORE)
        return ids[found[real]].tolist(), scores[real].tolist()

    return answer, ids


def sasrec(rows: pd.DataFrame) -> tuple[Answer, pd.Index]:
    """Fit SASRec of RecTools, which recommends for one user of the data set of all histories."""
    peer = import_module("benchmarks.peers.rectools_peer")
    model = peer.fit_sasrec(rows, SETTINGS["rectools-sasrec"], None).ranker.model
    histories = peer.ordered_dataset(rows["user_id"], rows["item_id"])
    ids = pd.Index(rows["item_id"].unique())

    def answer(user: str, k: int, allowed: NDArray[np.bool_]) -> tuple[list[str], list[float]]:
        found = model.recommend(
            [user], histories, k=k, filter_viewed=True, items_to_recommend=ids[allowed].to_numpy()
        )
        return found["item_id"].tolist(), found["score"].tolist()

    return answer, ids


KINDS = {"implicit-als": als, "rectools-sasrec": sasrec}


def create_app(folder: Path, model: str) -> FastAPI:
    """Fit a model on `interactions.parquet` (oldest first) and `items.parquet`, and serve it."""
    answer, ids = KINDS[model](pd.read_parquet(folder / "interactions.parquet"))
    allowed = Allowed(pd.read_parquet(folder / "items.parquet"), ids)
    app = FastAPI()

    @app.post("/v1/recommend")
    def recommend(request: RecommendRequest) -> dict[str, Any]:
        items, scores = answer(request.user_id, request.k, allowed.mask(request))
        return {
            "items": [
                {"item_id": item, "score": score, "position": position}
                for position, (item, score) in enumerate(zip(items, scores, strict=True), 1)
            ]
        }

    @app.get("/readyz")
    def ready() -> None:
        """Answer with success once the model is fitted."""

    return app


def create_worker_app() -> FastAPI:
    """Return the app of one worker, with the arguments of the command line."""
    return create_app(Path(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.serving.peer_service:create_worker_app",
        factory=True,
        port=int(sys.argv[3]),
        workers=int(sys.argv[4]),
        access_log=False,
        log_level="warning",
    )
