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
from recloop.models.low_rank import IalsConfig, fit_ials
from recloop.models.popularity import Popularity
from recloop.models.scorer import Asked, Channel, Scores, by_history
from recloop.models.trend import Trend
from recloop.training.baselines import (
    IALS,
    BaselinesConfig,
    Fit,
    Model,
    Setting,
    half_lives,
    tune,
)
from recloop.training.item_item import fit_ease, fit_item_knn, interaction_matrix
from recloop.training.sequence import MakeSide
from recloop.trials.timeline import Timeline

_GRIDS = BaselinesConfig()
# Items and interactions from which fits take minutes, and what is tried there.
_MANY_ITEMS, _FEW_L2, _FEW_NEIGHBOURS = 8_000, (100.0, 400.0), (50, 200)
_MANY_ROWS, _ONE_IALS = 2_000_000, (IalsConfig(),)


@dataclass(frozen=True)
class Task:
    """What a model learns from and is tuned on: training data, all before the test, validation.

    `text` `(items, width)`; `side` is None where no item has a text.
    """

    train: Timeline
    past: Timeline
    valid: Requests
    text: NDArray[np.float32]
    side: MakeSide | None


@dataclass(frozen=True)
class Fitted:
    """The same setting twice: fitted on training data, and on all before the test."""

    tuned: Channel
    final: Channel
    setting: dict[str, Any]


def quality(channel: Channel, requests: Requests, catalogue: int) -> float:
    """Mean NDCG@10 over the whole catalogue."""
    parts = requests.parts(catalogue)
    values = [part.ndcg_at_10(channel(part)) * len(part.histories) for part in parts]
    return sum(values) / len(requests.histories)


def matrix(timeline: Timeline) -> sparse.csr_matrix:
    """Users × items, 1 where they met."""
    return interaction_matrix(timeline.users(), timeline.items, timeline.catalogue)


def popularity(task: Task) -> Fitted:
    """All-time popularity."""

    def fit(timeline: Timeline) -> Channel:
        counts = np.bincount(timeline.items, minlength=timeline.catalogue).astype(np.float32)
        return by_history(Popularity(counts))

    return Fitted(fit(task.train), fit(task.past), {})


def recent_popularity(task: Task) -> Fitted:
    """Popularity at the moment of the request, its half-life tuned; without times, all-time."""
    options = trends(task)
    if not options:
        return popularity(task)
    return max(options, key=lambda fitted: quality(fitted.tuned, task.valid, task.train.catalogue))


def trends(task: Task) -> list[Fitted]:
    """Popularity of the moment for each half-life; none where the data has no times."""
    return [
        Fitted(_trend(task.train, life), _trend(task.past, life), {"half_life_days": life / 86_400})
        for life in half_lives(task.train.times)
    ]


def _trend(timeline: Timeline, half_life: float) -> Channel:
    model = Trend(timeline.items, timeline.times, timeline.catalogue, half_life)

    def score(asked: Asked) -> Scores:
        unknown = np.full(len(asked.histories), np.nan)
        return model.score(unknown if asked.at is None else asked.at)

    return score


def item_knn(task: Task) -> Fitted:
    """Cosine item-kNN on the 100,000 most popular items."""
    large = task.train.catalogue > _MANY_ITEMS
    neighbours = _FEW_NEIGHBOURS if large else _GRIDS.knn_neighbours
    return _tuned(task, "neighbours", neighbours, fit_item_knn)


def ease(task: Task) -> Fitted:
    """EASE on the 20,000 most popular items."""
    large = task.train.catalogue > _MANY_ITEMS
    return _tuned(task, "l2", _FEW_L2 if large else _GRIDS.ease_l2, fit_ease, along=large)


def ials(task: Task) -> Fitted:
    """Implicit matrix factorisation."""
    large = len(task.train.items) > _MANY_ROWS
    return _tuned(task, "config", _ONE_IALS if large else IALS, fit_ials)


def text(task: Task) -> Fitted:
    """Cosine of frozen text vectors to the last items'."""
    catalogue = task.train.catalogue

    def channel(last: int) -> Channel:
        return by_history(Content(task.text, last))

    last = max((1, 3, 10, 30), key=lambda n: quality(channel(n), task.valid, catalogue))
    return Fitted(channel(last), channel(last), {"last": last})


SIMPLE: dict[str, Callable[[Task], Fitted]] = {
    "popularity": popularity,
    "recent-popularity": recent_popularity,
    "item-knn": item_knn,
    "ease": ease,
    "ials": ials,
    "text": text,
}


def _tuned(
    task: Task,
    name: str,
    settings: Iterable[Setting],
    fit: Fit[Setting, Model],
    *,
    along: bool = False,
) -> Fitted:
    """The best setting × recency decay on validation, refitted on all before the test."""

    def judged(model: Model) -> float:
        return quality(by_history(model), task.valid, task.train.catalogue)

    decays = _GRIDS.decays if task.train.ordered else [1.0]
    best = tune(fit, matrix(task.train), settings, decays, judged, along=along)
    final = fit(matrix(task.past), best.setting, best.decay)
    said = best.setting.model_dump() if isinstance(best.setting, BaseModel) else best.setting
    channels = by_history(best.model), by_history(final)
    return Fitted(*channels, {name: said, "decay": best.decay})
