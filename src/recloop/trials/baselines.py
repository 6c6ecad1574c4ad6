"""What people would pick instead, each tuned on validation requests and refitted."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.models.content import Content
from recloop.models.item_item import ItemItem, fit_ease, fit_item_knn
from recloop.models.low_rank import IalsConfig, LowRank, fit_ials
from recloop.models.popularity import Popularity
from recloop.models.scorer import Scores
from recloop.models.trend import Trend
from recloop.trials.timeline import Timeline

Decayed = ItemItem | LowRank
Channel = Callable[[Requests], Scores]
DECAYS = (1.0, 0.95, 0.9, 0.8)
EASE_L2 = (100.0, 300.0, 600.0, 1200.0)
NEIGHBOURS = (50, 100, 200, 400)
IALS = tuple(
    IalsConfig(unobserved=unobserved, l2=l2)
    for unobserved, l2 in ((0.1, 0.01), (0.3, 0.01), (0.3, 0.003), (1.0, 0.003), (0.1, 0.003))
)
# Half-lives as shares of the time that training spans.
HALF_LIVES = (1 / 200, 1 / 30, 1 / 5)

# Scores that are in memory at once: 256 MB.
CELLS = 1 << 26


@dataclass(frozen=True)
class Task:
    """What a model learns from and is tuned on: training data, all before the test, validation."""

    train: Timeline
    past: Timeline
    valid: Requests
    text: NDArray[np.float32]


@dataclass(frozen=True)
class Fitted:
    """The same setting twice: fitted on training data, and on all before the test."""

    tuned: Channel
    final: Channel
    setting: dict[str, Any]


def batches(requests: Requests, catalogue: int) -> Iterable[Requests]:
    """Requests in parts whose scores fit in memory."""
    size = max(1, CELLS // (8 * catalogue))
    for start in range(0, len(requests.histories), size):
        yield requests.take(np.arange(start, min(start + size, len(requests.histories))))


def quality(channel: Channel, requests: Requests, catalogue: int) -> float:
    """Mean NDCG@10 over the whole catalogue."""
    parts = list(batches(requests, catalogue))
    values = [part.ndcg_at_10(channel(part)) * len(part.histories) for part in parts]
    return sum(values) / len(requests.histories)


def matrix(timeline: Timeline) -> sparse.csr_matrix:
    """Users × items, 1 where they met."""
    shape = (len(timeline.starts) - 1, timeline.catalogue)
    ones = np.ones(len(timeline.items), np.float32)
    met = sparse.csr_matrix((ones, timeline.items, timeline.starts), shape=shape)
    met.sum_duplicates()
    met.data[:] = 1.0
    return met


def popularity(task: Task) -> Fitted:
    """All-time popularity."""

    def fit(timeline: Timeline) -> Channel:
        counts = np.bincount(timeline.items, minlength=timeline.catalogue).astype(np.float32)
        model = Popularity(counts)
        return lambda requests: model.score(requests.histories)

    return Fitted(fit(task.train), fit(task.past), {})


def recent_popularity(task: Task) -> Fitted:
    """Popularity at the moment of the request, its half-life tuned; without times, all-time."""
    options = trends(task)
    if not options:
        return popularity(task)
    return max(options, key=lambda fitted: quality(fitted.tuned, task.valid, task.train.catalogue))


def trends(task: Task) -> list[Fitted]:
    """Popularity of the moment for each half-life; none where the data has no times."""
    if np.isnan(task.train.times).all():
        return []
    span = float(np.nanmax(task.train.times) - np.nanmin(task.train.times)) or 1.0
    return [
        Fitted(
            _trend(task.train, share * span),
            _trend(task.past, share * span),
            {"half_life_days": round(share * span / 86_400, 3)},
        )
        for share in HALF_LIVES
    ]


def _trend(timeline: Timeline, half_life: float) -> Channel:
    model = Trend(timeline.items, timeline.times, timeline.catalogue, half_life)

    def score(requests: Requests) -> Scores:
        unknown = np.full(len(requests.histories), np.nan)
        return model.score(unknown if requests.at is None else requests.at)

    return score


def item_knn(task: Task) -> Fitted:
    """Cosine item-kNN on the 10,000 most popular items."""
    return _tuned(
        task,
        [{"neighbours": n} for n in NEIGHBOURS],
        lambda met, s: fit_item_knn(met, **s, decay=1.0),
    )


def ease(task: Task) -> Fitted:
    """EASE on the 10,000 most popular items."""
    return _tuned(
        task, [{"l2": l2} for l2 in EASE_L2], lambda met, s: fit_ease(met, **s, decay=1.0)
    )


def ials(task: Task) -> Fitted:
    """Implicit matrix factorisation."""
    grid = [config.model_dump() for config in IALS]
    return _tuned(task, grid, lambda met, s: fit_ials(met, IalsConfig(**s)))


def text(task: Task) -> Fitted:
    """Cosine of frozen text vectors to the last items'."""
    catalogue = task.train.catalogue

    def channel(last: int) -> Channel:
        model = Content(task.text, last)
        return lambda requests: model.score(requests.histories)

    last = max((1, 3, 10, 30), key=lambda n: quality(channel(n), task.valid, catalogue))
    return Fitted(channel(last), channel(last), {"last": last})


def _tuned(
    task: Task,
    grid: list[dict[str, Any]],
    fit: Callable[[sparse.csr_matrix, dict[str, Any]], Decayed],
) -> Fitted:
    """The best setting × recency decay on validation; the decay changes nothing that is fitted."""

    def channel(model: Decayed, decay: float) -> Channel:
        def score(requests: Requests) -> Scores:
            model.decay = decay
            return model.score(_binary(requests.histories))

        return score

    met, best = matrix(task.train), (-1.0, 0, 0.0)
    models: dict[int, Decayed] = {}
    decays = DECAYS if task.train.ordered else (1.0,)
    for place, decay in itertools.product(range(len(grid)), decays):
        if place not in models:
            models = {place: fit(met, grid[place])} | ({best[1]: models[best[1]]} if models else {})
        found = quality(channel(models[place], decay), task.valid, task.train.catalogue)
        if found > best[0]:
            best = (found, place, decay)
    _, place, decay = best
    final = fit(matrix(task.past), grid[place])
    return Fitted(
        channel(models[place], decay), channel(final, decay), {**grid[place], "decay": decay}
    )


def _binary(histories: list[Rows]) -> list[Rows]:
    """Each item once, at its last place: what these models know of repeats."""
    return [_last_places(history) for history in histories]


def _last_places(history: Rows) -> Rows:
    _, last = np.unique(history[::-1], return_index=True)
    return history[np.sort(len(history) - 1 - last)]


def dense_or_empty(count: int) -> NDArray[np.float32]:
    """Text vectors where there are no texts."""
    return np.zeros((count, 1), np.float32)
