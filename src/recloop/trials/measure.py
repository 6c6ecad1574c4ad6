"""A model's lists for the test requests, and the numbers that say how good they are."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recloop.evaluation.bootstrap import UserBootstrap
from recloop.evaluation.metrics import METRICS, Values, coverage, ndcg
from recloop.evaluation.offline import Requests, hits
from recloop.evaluation.report import DEPTH, HEADLINE, EvaluateConfig, K
from recloop.models.ranking import Ranked, top_k
from recloop.models.scorer import Channel

_USUAL = EvaluateConfig()
# Users times draws: 400 MB.
_BOOTSTRAP_CELLS = 50_000_000
_ACTIVITY = {"no history": (0, 1), "1-9": (1, 10), "10-49": (10, 50), "50 and more": (50, 1 << 62)}


def answer(channel: Channel, requests: Requests, catalogue: int) -> Ranked:
    """`(requests, DEPTH)` rows of the catalogue, best first, -1 where there is nothing left."""
    lists = np.full((len(requests.histories), DEPTH), -1, np.int64)
    start = 0
    for part in requests.parts(catalogue):
        ranked, _ = top_k(channel(part), part.forbidden(), DEPTH)
        lists[start : start + len(ranked), : ranked.shape[1]] = ranked
        start += len(ranked)
    return lists


def measure(
    ranked: Ranked, requests: Requests, popularity: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Every metric at 5, 10, 20 with its 95 % interval over users; coverage, novelty, slices."""
    users = requests.users if requests.users is not None else np.arange(len(ranked))
    draws = max(100, min(_USUAL.draws, _BOOTSTRAP_CELLS // (int(users.max()) + 1)))
    bootstrap = UserBootstrap(users.tolist(), draws, seed)
    found, relevant = hits(ranked, requests.relevant), requests.counts()
    measured: dict[str, Any] = {}
    for k in _USUAL.ks:
        for name, metric in METRICS.items():
            measured[f"{name}@{k}"] = asdict(bootstrap.interval(metric(found, relevant, k)))
        measured[f"coverage@{k}"] = coverage(ranked, len(popularity), k)
        measured[f"novelty@{k}"] = _novelty(ranked[:, :k], popularity)
    return measured | {"slices": _slices(ndcg(found, relevant, K), requests, popularity)}


def _novelty(ranked: Ranked, popularity: NDArray[np.int64]) -> float:
    """Mean self-information in bits of what was shown: -log2 of an item's share of interactions."""
    shown = ranked[ranked >= 0]
    share = np.maximum(popularity[shown], 1) / max(int(popularity.sum()), 1)
    return float(-np.log2(share).mean()) if len(shown) else 0.0


def _slices(
    values: Values, requests: Requests, popularity: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """NDCG@10 by length of history, and for items that occur before the test or do not."""
    lengths = np.array([len(history) for history in requests.histories])
    cold = np.array([(popularity[rows] == 0).all() for rows in requests.relevant])
    chosen = {f"history {n}": (lengths >= a) & (lengths < b) for n, (a, b) in _ACTIVITY.items()}
    chosen |= {"cold items": cold, "warm items": ~cold}
    return {
        name: {"requests": int(rows.sum()), HEADLINE: float(values[rows].mean())}
        for name, rows in chosen.items()
        if rows.any()
    }
