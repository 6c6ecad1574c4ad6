"""Channels, fitted on training data to be tuned, and on all data before the test to serve."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy import sparse

from recloop.config import ConfigModel
from recloop.data.interaction_log import InteractionLog
from recloop.evaluation.evaluation_requests import Requests, validation_sample
from recloop.scoring.channels.implicit_als import ImplicitALS, ImplicitALSConfig, fit_ials
from recloop.scoring.channels.item_item import Dense, ItemItemModel, Sparse, no_links
from recloop.scoring.channels.recent_popularity import RecentPopularity
from recloop.scoring.channels.text import TextSimilarity
from recloop.scoring.lexical_vectors import lexical_vectors
from recloop.scoring.scorer import Scorer, history_channel
from recloop.training.channels.grid_search import Fit, Setting, tune
from recloop.training.channels.grid_search import Model as Decayed
from recloop.training.channels.item_item_fitting import fit_ease, fit_item_knn, interaction_matrix
from recloop.training.channels.slim_fitting import SLIM_GRID, fit_slim
from recloop.training.channels.word_similarity_fitting import word_neighbours
from recloop.training.training_data import TrainingData

_IALS = tuple(
    ImplicitALSConfig(unobserved=unobserved, l2=l2)
    for unobserved, l2 in ((0.1, 0.01), (0.3, 0.01), (0.3, 0.003), (1.0, 0.003), (0.1, 0.003))
)
# Items and interactions from which fits take minutes, and what is tried there.
_MANY_ITEMS, _FEW_L2, _FEW_NEIGHBOURS = 8_000, [100.0, 400.0], [50, 200]
_MANY_ROWS, _ONE_IALS = 2_000_000, [ImplicitALSConfig()]
# Share of the time for a whole model in which settings of one channel are tried.
_CHANNEL_SHARE = 1 / 12
# Items with a text that the words channel covers.
_WORD_ITEMS = 100_000
# Half-lives of recent popularity, as shares of the span of the interactions.
_HALF_LIVES = (1 / 200, 1 / 30, 1 / 5)

Fitting = TypeVar("Fitting")


class ChannelGrids(ConfigModel):
    """Grids of the channels beside the sequence model, from which validation chooses.

    Grids that are not set depend on the size of the data: shorter `ease_l2` and `item_knn` beyond
    8,000 items, one `ials` beyond 2 million interactions, no `decays` without an order.
    """

    ease_l2: list[float] = [100.0, 300.0, 600.0, 1200.0]
    """Regularisation of EASE; two values by default beyond 8,000 items."""
    item_knn: list[int] = [50, 100, 200, 400]
    """Neighbours of item-kNN; two values by default beyond 8,000 items."""
    ials: list[ImplicitALSConfig] = list(_IALS)
    """Settings of implicit ALS; one by default beyond 2 million interactions."""
    decays: list[float] = [1.0, 0.95, 0.9, 0.8]
    """Decay of the weight of older history; 1 is the model as published, and the only default if
    interactions have no order."""
    words: list[int] = [100]
    """Neighbours of the words channel."""
    word_decays: list[float] = [1.0, 0.9, 0.7, 0.4]
    """Decay of the weight of older history in the words channel; only 1 if interactions have no
    order."""
    text_last: list[int] = [1, 3, 10, 30]
    """Newest items of the history to which the text channel compares."""

    def chosen_for(self, log: InteractionLog) -> "ChannelGrids":
        """Return the same grids, with what was left out chosen from the interactions."""
        chosen: dict[str, Any] = {}
        if log.catalogue > _MANY_ITEMS:
            chosen |= {"ease_l2": _FEW_L2, "item_knn": _FEW_NEIGHBOURS}
        if len(log) > _MANY_ROWS:
            chosen["ials"] = _ONE_IALS
        if not log.ordered:
            chosen |= {"decays": [1.0], "word_decays": [1.0]}
        left_out = {
            name: grid for name, grid in chosen.items() if name not in self.model_fields_set
        }
        return self.model_copy(update=left_out)


@dataclass(frozen=True)
class Fitted(Generic[Fitting]):
    """Model with the best setting on validation, fitted on train and on all before the test."""

    tuned: Fitting
    final: Fitting
    setting: dict[str, Any]


class FittedChannels:
    """Channels beside the sequence model; each is tuned and fitted when it is first used.

    Args:
        data: Items, interactions and validation requests.
        grids: Settings that are tried.
        seed: Seed of the sample of validation requests.
        seconds: Time for a whole model, of which the tuning of a channel takes about a twelfth. No
            further setting of a channel is tried after that.
    """

    def __init__(
        self, data: TrainingData, grids: ChannelGrids, seed: int, seconds: float = math.inf
    ) -> None:
        self.data = data
        self._seconds = seconds * _CHANNEL_SHARE
        self.grids = grids.chosen_for(data.train)
        self.valid: Requests = validation_sample(data.valid, data.items, seed)

    @cached_property
    def fit_seconds(self) -> float:
        """Seconds of tuning and fitting every channel of the blend, which the first use does."""
        started = time.monotonic()
        _ = self.ease, self.item_knn, self.ials, self.words, self.recent
        return time.monotonic() - started

    @cached_property
    def popularity(self) -> Fitted[NDArray[np.float32]]:
        """Interactions of each item, `(items,)`."""
        return Fitted(self.data.train.counts(), self.data.past.counts(), {})

    @cached_property
    def ease(self) -> Fitted[ItemItemModel[Dense]]:
        """EASE on the 20,000 most popular items, with weights `(covered items, covered items)`."""
        stop_early = self.data.items > _MANY_ITEMS
        return self._tuned("l2", self.grids.ease_l2, fit_ease, stop_early=stop_early)

    @cached_property
    def item_knn(self) -> Fitted[ItemItemModel[Sparse]]:
        """Cosine item-kNN on the 100,000 most popular items.

        The weights are `(covered items, covered items)`.
        """
        return self._tuned("neighbours", self.grids.item_knn, fit_item_knn)

    @cached_property
    def slim(self) -> Fitted[ItemItemModel[Sparse]]:
        """SLIM on the 10,000 most popular items, weights `(covered items, covered items)`."""
        return self._tuned("penalties", SLIM_GRID, fit_slim)

    @cached_property
    def ials(self) -> Fitted[ImplicitALS]:
        """Implicit matrix factorisation."""
        return self._tuned("config", self.grids.ials, fit_ials)

    @cached_property
    def words(self) -> Fitted[ItemItemModel[Sparse]]:
        """Similarity of words to the texts of the history, `(items, items)`.

        It learns from no interactions, which only choose its settings.
        """
        vectors = lexical_vectors(self.data.catalogue.texts())
        if not vectors.nnz:
            return self._without_words()
        best = tune(
            lambda _, neighbours, decay: self._words(
                word_neighbours(vectors, neighbours, _WORD_ITEMS), decay
            ),
            self._train_matrix,
            self.grids.words,
            self.grids.word_decays,
            self.mean_ndcg,
            seconds=self._seconds,
        )
        return Fitted(best.model, best.model, {"neighbours": best.setting, "decay": best.decay})

    def _without_words(self) -> Fitted[ItemItemModel[Sparse]]:
        none = self._words(no_links(self.data.items), 1.0)
        return Fitted(none, none, {})

    def _words(self, similarity: Sparse, decay: float) -> ItemItemModel[Sparse]:
        return ItemItemModel(similarity, np.arange(self.data.items), self.data.items, decay)

    @cached_property
    def half_lives(self) -> Sequence[float]:
        """Half-lives of recent popularity in seconds, ascending; none without times."""
        return half_lives(self.data.train.times)

    @cached_property
    def recent(self) -> Sequence[Fitted[RecentPopularity]]:
        """Recent popularity for each half-life; none where the data has no times."""
        return [
            Fitted(
                _recent(self.data.train, life),
                _recent(self.data.past, life),
                {"half_life_days": life / 86_400},
            )
            for life in self.half_lives
        ]

    def text_last(self, text: NDArray[np.float32]) -> int:
        """Return the best number of last items to compare with texts `(items, width)`."""
        return max(
            self.grids.text_last,
            key=lambda last: self.mean_ndcg(TextSimilarity(text, last)),
        )

    def mean_ndcg(self, scorer: Scorer) -> float:
        """Return the mean NDCG@10 on a sample of the validation requests."""
        return self.valid.mean_ndcg(history_channel(scorer), self.data.items)

    def _tuned(
        self,
        name: str,
        settings: Sequence[Setting],
        fit: Fit[Setting, Decayed],
        *,
        stop_early: bool = False,
    ) -> Fitted[Decayed]:
        """Return the best setting and decay on validation, refitted on all before the test."""
        best = tune(
            fit,
            self._train_matrix,
            settings,
            self.grids.decays,
            self.mean_ndcg,
            stop_early=stop_early,
            seconds=self._seconds,
        )
        final = fit(self._past_matrix, best.setting, best.decay)
        setting = best.setting
        reported = setting.model_dump() if isinstance(setting, BaseModel) else setting
        return Fitted(best.model, final, {name: reported, "decay": best.decay})

    @cached_property
    def _train_matrix(self) -> sparse.csr_matrix:
        return matrix(self.data.train)

    @cached_property
    def _past_matrix(self) -> sparse.csr_matrix:
        return matrix(self.data.past)


def matrix(log: InteractionLog) -> sparse.csr_matrix:
    """Return the binary `(users, items)` matrix of the interactions."""
    return interaction_matrix(log.user_rows(), log.items, log.catalogue)


def half_lives(times: NDArray[np.float64]) -> list[float]:
    """Return half-lives of recent popularity in seconds, as shares of the span of the times.

    Args:
        times: Times of the interactions in seconds since 1970, `(interactions,)`; NaN if unknown.
    """
    if np.isnan(times).all():
        return []
    span = float(np.nanmax(times) - np.nanmin(times)) or 1.0
    return [share * span for share in _HALF_LIVES]


def _recent(log: InteractionLog, half_life: float) -> RecentPopularity:
    return RecentPopularity(log.items, log.times, log.catalogue, half_life)
