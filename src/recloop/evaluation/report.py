"""From predictions to the table of metrics: each model, each metric, with its interval."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from pydantic import field_validator

from recloop import columns as c
from recloop.config import Settings
from recloop.data.catalogue import Catalogue
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.metrics import METRICS, Values, coverage
from recloop.evaluation.offline import Requests, hits
from recloop.models.ranking import Ranked
from recloop.models.scorer import Scores

OURS = "recloop"
K = 10
HEADLINE = f"ndcg@{K}"
# How many items each list of predictions holds.
DEPTH = 20


class EvaluateConfig(Settings):
    """Cut-offs, and the number and seed of bootstrap draws."""

    ks: list[int] = [5, 10, 20]
    draws: int = 1_000
    seed: int = 42

    @field_validator("ks")
    @classmethod
    def _within_depth(cls, ks: list[int]) -> list[int]:
        if K not in ks or not all(1 <= k <= DEPTH for k in ks):
            raise ValueError(f"{K} must be among them, and none beyond {DEPTH}")
        return ks


def predictions(ranked: Ranked, scores: Scores, catalogue: Catalogue) -> pl.DataFrame:
    """Ranked lists as a table, a row a request in the order of the requests: item ids and scores."""
    lists = [
        ([catalogue.ids[row] for row in rows if row >= 0], values[rows >= 0].tolist())
        for rows, values in zip(ranked, scores, strict=True)
    ]
    return pl.DataFrame(
        {c.RANKED: [ids for ids, _ in lists], c.SCORES: [values for _, values in lists]},
        schema={c.RANKED: pl.List(pl.String()), c.SCORES: pl.List(pl.Float32())},
    )


def per_request(
    predicted: pl.DataFrame, requests: Requests, catalogue: Catalogue, ks: list[int]
) -> tuple[dict[str, Values], dict[str, float]]:
    """Metric values per request, and coverage, which is one number for all requests."""
    depth = max(ks)
    ranked = np.full((predicted.height, depth), -1, np.int64)
    for row, ids in enumerate(predicted[c.RANKED]):
        rows = catalogue.rows(ids)[:depth]
        ranked[row, : len(rows)] = rows
    found, relevant = hits(ranked, requests.relevant), requests.counts()
    values = {
        f"{name}@{k}": metric(found, relevant, k) for name, metric in METRICS.items() for k in ks
    }
    return values, {f"coverage@{k}": coverage(ranked, len(catalogue), k) for k in ks}


def table(
    predicted: Mapping[str, pl.DataFrame],
    asked: pl.DataFrame,
    catalogue: Catalogue,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """`{model: {metric: {value, low, high}, …, coverage@k: number}}`."""
    requests = Requests.encode(asked, catalogue)
    bootstrap = UserBootstrap(asked[c.USER].to_list(), config.draws, config.seed)
    models: dict[str, Any] = {}
    for name, lists in predicted.items():
        values, covered = per_request(lists, requests, catalogue, config.ks)
        intervals = {metric: asdict(bootstrap.interval(v)) for metric, v in values.items()}
        models[name] = {**intervals, **covered}
    return models


def differences(
    ours: pl.DataFrame,
    others: Mapping[str, pl.DataFrame],
    asked: pl.DataFrame,
    catalogue: Catalogue,
    config: EvaluateConfig,
) -> dict[str, dict[str, float]]:
    """Paired difference of NDCG@10, ours minus each other's, with its interval."""
    requests = Requests.encode(asked, catalogue)
    bootstrap = UserBootstrap(asked[c.USER].to_list(), config.draws, config.seed)
    mine = per_request(ours, requests, catalogue, [K])[0][HEADLINE]
    return {
        name: asdict(
            bootstrap.interval(mine - per_request(theirs, requests, catalogue, [K])[0][HEADLINE])
        )
        for name, theirs in others.items()
    }
