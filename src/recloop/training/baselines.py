"""Baselines: single models, tuned on validation data and refitted on all data before the test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recloop.scoring.blend import (
    EASE,
    IALS,
    ITEM_KNN,
    POPULARITY,
    RECENT_POPULARITY,
    SASREC,
    TEXT,
)
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.channels.recent_popularity import at_request_times
from recloop.scoring.channels.text import TextSimilarity
from recloop.scoring.scorer import Channel, Scorer, history_channel
from recloop.training.base_models import TextConfig, resolve_base
from recloop.training.channels.fitted_channels import Fitted, FittedChannels
from recloop.training.channels.graph_fitting import fit_graph
from recloop.training.channels.lambdamart_fitting import LambdaMARTConfig, fit_lambdamart
from recloop.training.channels.star_fitting import fit_star
from recloop.training.device import choose
from recloop.training.finetuning.auto_settings import published
from recloop.training.finetuning.fit import Progress
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.item_subset import ItemSubset, spread
from recloop.training.sequence_training import train_sequence
from recloop.training.trained_sequence import Language, sequence_scorer
from recloop.training.training_data import TrainingData

# Baselines that are no channels of the blend.
STAR, GRAPH, SLIM, LAMBDAMART = "star", "graph", "slim", "lambdamart"
BASELINES = (
    *(POPULARITY, RECENT_POPULARITY, ITEM_KNN, EASE, IALS, SASREC, TEXT),
    *(STAR, GRAPH, SLIM, LAMBDAMART),
)


@dataclass(frozen=True)
class Baseline:
    """Fitted channel that ranks alone, and the setting that validation chose."""

    channel: Channel
    setting: dict[str, Any]


def fit_baseline(
    name: str, channels: FittedChannels, config: TrainConfig, progress: Progress = lambda _: None
) -> Baseline:
    """Return one of `BASELINES`, fitted.

    Args:
        name: Name of the baseline.
        channels: The fitted channels, and the data.
        config: Settings of the sequence model; what is left out is chosen from the data.
        progress: Called with the entry of every epoch of the sequence model.
    """
    if name == SASREC:
        return _sasrec(channels.data, config, progress)
    simple: dict[str, Callable[[], Baseline]] = {
        POPULARITY: lambda: _by_history(Popularity(channels.popularity.final), {}),
        RECENT_POPULARITY: lambda: _recent_popularity(channels),
        ITEM_KNN: lambda: _fitted(channels.item_knn),
        EASE: lambda: _fitted(channels.ease),
        IALS: lambda: _fitted(channels.ials),
        TEXT: lambda: _text(channels, config),
        STAR: lambda: _fitted(fit_star(channels, frozen_text_vectors(channels.data, config))),
        GRAPH: lambda: _fitted(fit_graph(channels)),
        SLIM: lambda: _fitted(channels.slim),
        LAMBDAMART: lambda: _lambdamart(channels, config),
    }
    return simple[name]()


def frozen_text_vectors(data: TrainingData, config: TrainConfig) -> NDArray[np.float32]:
    """Return the base language model's text vectors of the most popular items, `(items, width)`."""
    rows, texts = ItemSubset.most_popular(data.past, config.items).rows, data.catalogue.texts()
    chosen = [texts[row] for row in rows]
    if not any(chosen):
        return np.zeros((data.items, 1), np.float32)
    settings = TextConfig(**{**config.text.model_dump(), "tuning": "frozen"})
    language = Language.load(resolve_base(settings.base), settings, config.seed)
    vectors = language.encode(chosen, choose(config.device)).float().cpu().numpy()
    return spread(vectors, rows, data.items)


def _by_history(scorer: Scorer, setting: dict[str, Any]) -> Baseline:
    return Baseline(history_channel(scorer), setting)


def _fitted(fitted: Fitted[Any]) -> Baseline:
    return _by_history(fitted.final, fitted.setting)


def _lambdamart(channels: FittedChannels, config: TrainConfig) -> Baseline:
    text = frozen_text_vectors(channels.data, config)
    fitted = fit_lambdamart(channels, text, LambdaMARTConfig(), config.seed)
    return Baseline(fitted.final, fitted.setting)


def _recent_popularity(channels: FittedChannels) -> Baseline:
    """Return recent popularity with a tuned half-life; without times, popularity over all time."""
    if not channels.recent:
        return _by_history(Popularity(channels.popularity.final), {})
    best = max(
        channels.recent,
        key=lambda fitted: channels.valid.mean_ndcg(
            at_request_times(fitted.tuned), channels.data.items
        ),
    )
    return Baseline(at_request_times(best.final), best.setting)


def _text(channels: FittedChannels, config: TrainConfig) -> Baseline:
    vectors = frozen_text_vectors(channels.data, config)
    last = channels.text_last(vectors)
    return _by_history(TextSimilarity(vectors, last), {"last": last})


def _sasrec(data: TrainingData, config: TrainConfig, progress: Progress) -> Baseline:
    trained = train_sequence(
        data,
        published(config),
        choose(config.device),
        base=None,
        progress=lambda _: progress,
    )
    scorer = sequence_scorer(trained.final, trained.text, trained.rows, trained.config, data.items)
    return Baseline(scorer.score, trained.setting())
