"""What people would pick instead, each tuned on validation requests and refitted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from recloop.evaluation.offline import Requests
from recloop.models.content import Content
from recloop.models.item_item import interaction_matrix
from recloop.models.low_rank import IalsConfig, fit_ials
from recloop.models.popularity import Popularity
from recloop.models.scorer import Scores
from recloop.models.trend import Trend
from recloop.recommender.state import last_places
from recloop.training import baselines as training
from recloop.training.baselines import BaselinesConfig, Decayed, Fit, Model, Setting, tune
from recloop.trials.timeline import Timeline

Channel = Callable[[Requests], Scores]
_GRIDS = BaselinesConfig()
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
    return interaction_matrix(timeline.users(), timeline.items, timeline.catalogue)


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
    return _tuned(task, "neighbours", _GRIDS.knn_neighbours, training.item_knn)


def ease(task: Task) -> Fitted:
    """EASE on the 10,000 most popular items."""
    return _tuned(task, "l2", _GRIDS.ease_l2, training.ease)


def ials(task: Task) -> Fitted:
    """Implicit matrix factorisation."""
    return _tuned(task, "config", IALS, fit_ials)


def text(task: Task) -> Fitted:
    """Cosine of frozen text vectors to the last items'."""
    catalogue = task.train.catalogue

    def channel(last: int) -> Channel:
        model = Content(task.text, last)
        return lambda requests: model.score(requests.histories)

    last = max((1, 3, 10, 30), key=lambda n: quality(channel(n), task.valid, catalogue))
    return Fitted(channel(last), channel(last), {"last": last})


def _tuned(task: Task, name: str, settings: Iterable[Setting], fit: Fit[Setting, Model]) -> Fitted:
    """The best setting × recency decay on validation, refitted on all before the test."""

    def judged(model: Model) -> float:
        return quality(_of(model), task.valid, task.train.catalogue)

    decays = _GRIDS.decays if task.train.ordered else [1.0]
    best = tune(fit, matrix(task.train), settings, decays, judged)
    final = fit(matrix(task.past), best.setting, best.decay)
    said = best.setting.model_dump() if isinstance(best.setting, BaseModel) else best.setting
    return Fitted(_of(best.model), _of(final), {name: said, "decay": best.decay})


def _of(model: Decayed) -> Channel:
    """Each item of a history once, at its last place: what these models know of repeats."""
    return lambda requests: model.score([last_places(history) for history in requests.histories])
