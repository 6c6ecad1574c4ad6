"""Ranked lists as tables, and their metrics with confidence intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import field_validator

from recloop import columns as c
from recloop.config import ConfigModel
from recloop.data.catalogue import Catalogue
from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.evaluation_requests import Requests, hits
from recloop.evaluation.metrics import METRICS, Values, coverage
from recloop.evaluation.slices import HISTORY_LENGTHS
from recloop.scoring.scorer import Channel, Scores
from recloop.scoring.top_k import Ranked, top_k

RECLOOP = "recloop"
K = 10
PRIMARY_METRIC = f"ndcg@{K}"
# Length of each predicted list.
DEPTH = 20
# Limit of users times bootstrap draws: 400 MB.
_BOOTSTRAP_CELLS = 50_000_000


class EvaluateConfig(ConfigModel):
    """Settings of the evaluation."""

    ks: list[int] = [5, 10, 20]
    """Cut-offs of the metrics; 10 must be among them."""
    draws: int = 1_000
    """Bootstrap draws of an interval."""
    seed: int = 42
    """Seed of the bootstrap."""

    @field_validator("ks")
    @classmethod
    def _within_depth(cls, ks: list[int]) -> list[int]:
        if K not in ks or not all(1 <= k <= DEPTH for k in ks):
            raise ValueError(f"{K} must be among them, and none beyond {DEPTH}")
        return ks


def to_predictions(ranked: Ranked, scores: Scores, catalogue: Catalogue) -> pl.DataFrame:
    """Return ranked lists as a table.

    Args:
        ranked: Catalogue rows, best first, -1 for an empty rank; `(requests, depth)` int64.
        scores: Scores of these items; `(requests, depth)` float32.
        catalogue: The items, in the order of the row numbers.

    Returns:
        One row per request, in the same order: item ids (list of strings) and scores (list of
        float32), without the empty ranks.
    """
    lists = [
        ([catalogue.ids[row] for row in rows if row >= 0], values[rows >= 0].tolist())
        for rows, values in zip(ranked, scores, strict=True)
    ]
    return pl.DataFrame(
        {c.RANKED: [ids for ids, _ in lists], c.SCORES: [values for _, values in lists]},
        schema={c.RANKED: pl.List(pl.String()), c.SCORES: pl.List(pl.Float32())},
    )


def to_rows(predictions: pl.DataFrame, catalogue: Catalogue) -> Ranked:
    """Return a table of `to_predictions` as catalogue rows.

    Returns:
        `(requests, DEPTH)` int64, best first, -1 for an empty rank.
    """
    ranked = np.full((predictions.height, DEPTH), -1, np.int64)
    for row, ids in enumerate(predictions[c.RANKED]):
        rows = catalogue.rows(ids)[:DEPTH]
        ranked[row, : len(rows)] = rows
    return ranked


def rank_with_channel(channel: Channel, requests: Requests, items: int) -> Ranked:
    """Return the lists of a channel that ranks alone, as `to_rows` does.

    Args:
        channel: Returns scores, `(requests, items)` float32.
        requests: The requests.
        items: Number of items in the catalogue.
    """
    ranked = np.full((len(requests.histories), DEPTH), -1, np.int64)
    start = 0
    for batch in requests.batches(items):
        ranks, _ = top_k(channel(batch), batch.excluded(), DEPTH)
        ranked[start : start + len(ranks), : ranks.shape[1]] = ranks
        start += len(ranks)
    return ranked


def metrics_per_request(ranked: Ranked, requests: Requests, ks: Sequence[int]) -> dict[str, Values]:
    """Return every metric at every cut-off, named `metric@k`, each `(requests,)` float64."""
    hit, relevant = hits(ranked, requests.relevant), requests.relevant_counts()
    return {f"{name}@{k}": metric(hit, relevant, k) for k in ks for name, metric in METRICS.items()}


def measure(
    ranked: Ranked,
    requests: Requests,
    items: int,
    config: EvaluateConfig,
    popularity: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Return every metric with its 95 % interval over users, and coverage.

    Args:
        ranked: Catalogue rows, best first, -1 for an empty rank; `(requests, DEPTH)` int64.
        requests: The requests with their users and relevant items.
        items: Number of items in the catalogue.
        config: Cut-offs and settings of the bootstrap.
        popularity: Interactions of each item before the test, `(items,)` float32. If given, novelty
            and the NDCG@10 of slices are included.

    Returns:
        `{metric@k: {value, low, high}, …, coverage@k: number, novelty@k: bits, slices: …}`.
    """
    bootstrap = request_bootstrap(requests, config)
    values = metrics_per_request(ranked, requests, config.ks)
    measured: dict[str, Any] = {
        name: asdict(bootstrap.interval(metric)) for name, metric in values.items()
    }
    measured |= {f"coverage@{k}": coverage(ranked, items, k) for k in config.ks}
    if popularity is None:
        return measured
    measured |= {f"novelty@{k}": _novelty(ranked[:, :k], popularity) for k in config.ks}
    return measured | {"slices": _slices(values[PRIMARY_METRIC], requests, popularity)}


def measure_models(
    predictions: Mapping[str, pl.DataFrame],
    request_frame: pl.DataFrame,
    catalogue: Catalogue,
    config: EvaluateConfig,
    popularity: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Measure the predicted lists of several models on the same requests.

    Args:
        predictions: Table of lists of each model; columns as in `to_predictions`.
        request_frame: One row per request; columns as in `Requests.to_frame`.
        catalogue: The items.
        config: Cut-offs and settings of the bootstrap.
        popularity: As in `measure`.

    Returns:
        The metrics of each model, as in `measure`.
    """
    requests, items = Requests.from_frame(request_frame, catalogue), len(catalogue)
    return {
        name: measure(to_rows(lists, catalogue), requests, items, config, popularity)
        for name, lists in predictions.items()
    }


def ndcg_differences(
    predictions: pl.DataFrame,
    others: Mapping[str, pl.DataFrame],
    request_frame: pl.DataFrame,
    catalogue: Catalogue,
    config: EvaluateConfig,
) -> dict[str, dict[str, float]]:
    """Return the paired differences of NDCG@10 between one model and others.

    Args:
        predictions: Table of lists of the model; columns as in `to_predictions`.
        others: Tables of lists of the other models.
        request_frame: One row per request; columns as in `Requests.to_frame`.
        catalogue: The items.
        config: Settings of the bootstrap.

    Returns:
        `{other: {value, low, high}}`, positive where the model is better than the other.
    """
    requests = Requests.from_frame(request_frame, catalogue)
    bootstrap = request_bootstrap(requests, config)

    def values(lists: pl.DataFrame) -> Values:
        return metrics_per_request(to_rows(lists, catalogue), requests, [K])[PRIMARY_METRIC]

    own = values(predictions)
    return {name: asdict(bootstrap.interval(own - values(other))) for name, other in others.items()}


def request_bootstrap(requests: Requests, config: EvaluateConfig) -> UserBootstrap:
    """Return a bootstrap over the users of requests, with fewer draws for very many users."""
    users = requests.user_numbers()
    draws = max(100, min(config.draws, _BOOTSTRAP_CELLS // (int(users.max(initial=0)) + 1)))
    return UserBootstrap(users.tolist(), draws, config.seed)


def _novelty(ranked: Ranked, popularity: NDArray[np.float32]) -> float:
    """Return the mean self-information of listed items in bits: -log2(share of interactions)."""
    listed = ranked[ranked >= 0]
    share = np.maximum(popularity[listed], 1) / max(float(popularity.sum()), 1.0)
    return float(-np.log2(share).mean()) if len(listed) else 0.0


def _slices(
    values: Values, requests: Requests, popularity: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """Return NDCG@10 by length of history, and for cold and for warm relevant items."""
    lengths = requests.history_lengths()
    cold = np.array([(popularity[rows] == 0).all() for rows in requests.relevant], np.bool_)
    slices = {
        name: (lengths >= low) & (lengths < high) for name, (low, high) in HISTORY_LENGTHS.items()
    }
    slices |= {"cold items": cold, "warm items": ~cold}
    return {
        name: {"requests": int(rows.sum()), PRIMARY_METRIC: float(values[rows].mean())}
        for name, rows in slices.items()
        if rows.any()
    }
