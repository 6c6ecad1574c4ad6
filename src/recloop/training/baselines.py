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
from recloop.data.catalogue import Catalogue, counts
from recloop.models.item_item import ItemItem, fit_ease, fit_item_knn, interaction_matrix
from recloop.models.popularity import Popularity
from recloop.models.scorer import Scorer


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
) -> Tuned[Model, Setting]:
    """The best of `settings` × `decays` by `quality`; decay changes no fitted weight."""
    best: Tuned[Model, Setting] | None = None
    for setting in settings:
        model = fit(matrix, setting, 1.0)
        for decay in decays:
            model.decay = decay
            found = quality(model)
            if best is None or found > best.quality:
                best = Tuned(model, setting, decay, found)
    if best is None:
        raise ValueError("nothing to choose from: settings or decays are empty")
    best.model.decay = best.decay
    return best


def ease(matrix: sparse.csr_matrix, l2: float, decay: float) -> ItemItem:
    """EASE with these settings."""
    return fit_ease(matrix, l2, decay)


def item_knn(matrix: sparse.csr_matrix, neighbours: float, decay: float) -> ItemItem:
    """Item-kNN with these settings."""
    return fit_item_knn(matrix, int(neighbours), decay)


def popularity(interactions: pl.DataFrame, catalogue: Catalogue) -> Popularity:
    """All-time popularity."""
    return Popularity(counts(interactions, catalogue))


def user_item_matrix(interactions: pl.DataFrame, catalogue: Catalogue) -> sparse.csr_matrix:
    """Users × items of the positive events; a user number is of no use outside this matrix."""
    positive = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    positive = positive.filter(pl.col(c.ITEM).is_in(catalogue.items[c.ITEM].implode()))
    users: NDArray[np.int64] = np.unique(positive[c.USER].to_numpy(), return_inverse=True)[1]
    return interaction_matrix(users, catalogue.rows(positive[c.ITEM]), len(catalogue))
