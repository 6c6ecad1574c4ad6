"""The channels beside the sequence model: EASE, item-kNN, matrix factorisation, popularity, trends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.config import Settings
from recloop.data.catalogue import Catalogue, counts
from recloop.evaluation.offline import Requests
from recloop.models.blend import COLLABORATIVE, LOW_RANK, NEIGHBOURS, POPULARITY, trend_channels
from recloop.models.item_item import Dense, ItemItem, Sparse
from recloop.models.low_rank import IalsConfig, LowRank, fit_ials
from recloop.models.popularity import Popularity
from recloop.models.scorer import Channel, Scorer, by_history
from recloop.models.trend import Trend
from recloop.training import baselines
from recloop.training.item_item import fit_ease, fit_item_knn


class BesideConfig(Settings):
    """The grids that validation chooses from; `decays` are of the history's recency."""

    ease_l2: list[float] = [300.0, 600.0, 1200.0]
    neighbours: list[int] = [50, 200]
    low_rank: list[IalsConfig] = list(baselines.IALS)
    decays: list[float] = [0.95, 0.9, 0.85, 0.8]


@dataclass(frozen=True)
class Beside:
    """All of them, fitted on the same interactions.

    `l2` is that of EASE, `nearest` the number of neighbours, `lives` are the trends' half-lives.
    """

    ease: ItemItem[Dense]
    l2: float
    neighbours: ItemItem[Sparse]
    nearest: int
    low_rank: LowRank
    counts: NDArray[np.float32]
    trends: NDArray[np.float32]
    lives: Sequence[float]

    def channels(self) -> dict[str, Channel]:
        """By name, as they serve."""
        by_items: dict[str, Scorer] = {
            COLLABORATIVE: self.ease,
            NEIGHBOURS: self.neighbours,
            LOW_RANK: self.low_rank,
            POPULARITY: Popularity(self.counts),
        }
        named = {name: by_history(scorer) for name, scorer in by_items.items()}
        return named | trend_channels(self.trends)

    def refitted(self, past: pl.DataFrame, catalogue: Catalogue) -> "Beside":
        """The same settings on more interactions."""
        matrix = baselines.user_item_matrix(past, catalogue)
        return Beside(
            fit_ease(matrix, self.l2, self.ease.decay),
            self.l2,
            fit_item_knn(matrix, self.nearest, self.neighbours.decay),
            self.nearest,
            fit_ials(matrix, self.low_rank.config, self.low_rank.decay),
            counts(past, catalogue),
            _trends(past, catalogue, self.lives),
            self.lives,
        )


def tune_beside(
    train: pl.DataFrame, catalogue: Catalogue, valid: Requests, config: BesideConfig
) -> Beside:
    """Each with the settings that are best on validation requests."""
    matrix = baselines.user_item_matrix(train, catalogue)
    ease = baselines.tune(fit_ease, matrix, config.ease_l2, config.decays, valid.judge)
    knn = baselines.tune(fit_item_knn, matrix, config.neighbours, config.decays, valid.judge)
    low_rank = baselines.tune(fit_ials, matrix, config.low_rank, config.decays, valid.judge)
    lives = baselines.half_lives(baselines.moments(train, catalogue)[1])
    return Beside(
        ease.model,
        ease.setting,
        knn.model,
        knn.setting,
        low_rank.model,
        counts(train, catalogue),
        _trends(train, catalogue, lives),
        lives,
    )


def _trends(
    interactions: pl.DataFrame, catalogue: Catalogue, lives: Sequence[float]
) -> NDArray[np.float32]:
    items, times = baselines.moments(interactions, catalogue)
    return np.stack([Trend(items, times, len(catalogue), life).latest() for life in lives])
