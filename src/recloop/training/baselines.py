"""Baselines, each tuned on validation data, refitted on everything before the test."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recloop import columns as c
from recloop.config import Settings
from recloop.data.catalogue import Catalogue, Rows, counts
from recloop.models.low_rank import IalsConfig
from recloop.models.popularity import Popularity
from recloop.models.scorer import Scorer
from recloop.training.item_item import interaction_matrix

# Of implicit matrix factorisation.
IALS = tuple(
    IalsConfig(unobserved=unobserved, l2=l2)
    for unobserved, l2 in ((0.1, 0.01), (0.3, 0.01), (0.3, 0.003), (1.0, 0.003), (0.1, 0.003))
)
_HALF_LIVES = (1 / 200, 1 / 30, 1 / 5)


class BaselinesConfig(Settings):
    """The grids that item-item models are tuned over; a decay of 1 is the model as published."""

    ease_l2: list[float] = [100.0, 300.0, 600.0, 1200.0]
    knn_neighbours: list[int] = [50, 100, 200, 400]
    decays: list[float] = [1.0, 0.95, 0.9, 0.8]


class Decayed(Scorer, Protocol):
    """A scorer of recency-decayed histories."""

    decay: float


Model = TypeVar("Model", bound=Decayed)
Setting = TypeVar("Setting")
Fit = Callable[[sparse.csr_matrix, Setting, float], Model]


@dataclass(frozen=True)
class Tuned(Generic[Model, Setting]):
    """The model that validation chose, and what it chose."""

    model: Model
    setting: Setting
    decay: float
    quality: float


def tune(
    fit: Fit[Setting, Model],
    matrix: sparse.csr_matrix,
    settings: Iterable[Setting],
    decays: Iterable[float],
    quality: Callable[[Model], float],
    *,
    along: bool = False,
) -> Tuned[Model, Setting]:
    """The best of `settings` × `decays` by `quality`; decay changes no fitted weight.

    `along`: the settings lie on one slope, so the first that is no better than the one before ends it.
    """
    best: Tuned[Model, Setting] | None = None
    for setting in settings:
        before, model = best, fit(matrix, setting, 1.0)
        for decay in decays:
            model.decay = decay
            found = quality(model)
            if best is None or found > best.quality:
                best = Tuned(model, setting, decay, found)
        if along and best is before:
            break
    if best is None:
        raise ValueError("nothing to choose from: settings or decays are empty")
    best.model.decay = best.decay
    return best


def popularity(interactions: pl.DataFrame, catalogue: Catalogue) -> Popularity:
    """All-time popularity."""
    return Popularity(counts(interactions, catalogue))


def half_lives(times: NDArray[np.float64]) -> list[float]:
    """Of popularity of the moment, in seconds: shares of the span of `times`; none without times."""
    if np.isnan(times).all():
        return []
    span = float(np.nanmax(times) - np.nanmin(times)) or 1.0
    return [share * span for share in _HALF_LIVES]


def moments(interactions: pl.DataFrame, catalogue: Catalogue) -> tuple[Rows, NDArray[np.float64]]:
    """Item and time in seconds of each positive event."""
    positive = _positive(interactions, catalogue)
    seconds = positive[c.TIME].dt.epoch("us").to_numpy() / 1e6
    return catalogue.rows(positive[c.ITEM]), seconds


def user_item_matrix(interactions: pl.DataFrame, catalogue: Catalogue) -> sparse.csr_matrix:
    """Users × items of the positive events; a user number is of no use outside this matrix."""
    positive = _positive(interactions, catalogue)
    users: NDArray[np.int64] = np.unique(positive[c.USER].to_numpy(), return_inverse=True)[1]
    return interaction_matrix(users, catalogue.rows(positive[c.ITEM]), len(catalogue))


def _positive(interactions: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    positive = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    return positive.filter(pl.col(c.ITEM).is_in(catalogue.items[c.ITEM].implode()))
