"""Packaging of trained channels as the payload that serves, with blend weights.

The weights are learned on validation data with models that have not seen these data, and are then
used with the refitted models.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.config import ConfigModel
from recloop.data.interaction_log import InteractionLog
from recloop.recommender.retrieval import RetrievalConfig
from recloop.registry.model_config import ModelConfig
from recloop.registry.payload import Payload
from recloop.scoring.blend import (
    EASE,
    IALS,
    ITEM_KNN,
    POPULARITY,
    SASREC,
    TEXT,
    WORDS,
    Blend,
    BlendWeights,
    recent_popularity_channels,
    repeat_channels,
)
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.channels.text import TextSimilarity
from recloop.scoring.cold_items import ColdItemScorer
from recloop.scoring.query.matcher import QueryConfig
from recloop.scoring.scorer import Channel, Scorer, history_channel
from recloop.training.blending.blend_fitting import fit_blend
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.device import choose
from recloop.training.export.onnx_export import export_tower
from recloop.training.export.query_export import QueryExport
from recloop.training.item_subset import spread
from recloop.training.trained_sequence import TrainedSequence, item_vectors, sequence_scorer
from recloop.training.training_data import TrainingData
from recloop.training.whitening import whitened

# Smallest weight of popularity, which ranks the items for an empty history.
_LEAST = 0.01


class ExportConfig(ConfigModel):
    """Settings of the export: channels beside the sequence model, query encoder and candidates."""

    channels: ChannelGrids = ChannelGrids()
    """Grids of the channels beside the sequence model, from which validation chooses."""
    query: QueryConfig = QueryConfig()
    """Settings of the query encoder and its weight."""
    retrieval: RetrievalConfig = RetrievalConfig()
    """Candidate generation for large catalogues."""


@dataclass(frozen=True)
class WeightedChannels:
    """Channels of a model with the weights that were fitted on validation data.

    Attributes:
        weights: Weights of the blend.
        tuned: The blend of the channels that saw no validation data.
        text: Whitened text vectors of all items, `(items, width)`.
        text_last: Number of last items that texts are compared with.
    """

    weights: BlendWeights
    tuned: Blend
    text: NDArray[np.float32]
    text_last: int


def all_text_vectors(
    sequence: TrainedSequence, data: TrainingData, *, every_item: bool
) -> NDArray[np.float32]:
    """Return text vectors `(items, width)`, zero for items without a text.

    Args:
        sequence: The trained model, which has those of its own items.
        data: The items.
        every_item: Whether texts of items that the sequence model does not have are encoded too.
    """
    vectors = spread(sequence.text.cpu().numpy(), sequence.rows, data.items)
    others = np.setdiff1d(np.arange(data.items), sequence.rows)
    if every_item and sequence.language is not None and len(others):
        texts = data.catalogue.texts()
        compute = choose(sequence.config.device)
        encoded = sequence.language.encode([texts[row] for row in others], compute)
        vectors[others] = encoded.cpu().numpy()
    return vectors


def fit_channel_weights(
    sequence: TrainedSequence,
    channels: FittedChannels,
    text: NDArray[np.float32],
) -> WeightedChannels:
    """Learn the weights of the blend on validation data.

    Args:
        sequence: The trained sequence model.
        channels: The other channels, and the data.
        text: Text vectors of all items, `(items, width)`. They are whitened here: users' choices
            follow what tells the texts of a catalogue apart.
    """
    text = whitened(text)
    data, valid, last = channels.data, channels.valid, channels.text_last(text)
    mixed = _tuned_channels(sequence, channels, text, last)
    warm = data.train.warm_items()
    new = int((~data.past.warm_items()).sum())
    weights = fit_blend(mixed, text, warm, valid, sequence.config.seed, new)
    for channel_weights in (weights.channels, *weights.by_history_length.values()):
        channel_weights[POPULARITY] = max(channel_weights[POPULARITY], _LEAST)
    blend = Blend(mixed, weights, ColdItemScorer.from_text(text, warm, weights.cold_items))
    return WeightedChannels(weights, blend, text, last)


def _tuned_channels(
    sequence: TrainedSequence, channels: FittedChannels, text: NDArray[np.float32], last: int
) -> dict[str, Channel]:
    """Return the channels that have not learned from validation data.

    Args:
        sequence: The trained sequence model.
        channels: The other channels.
        text: Text vectors of all items, `(items, width)`.
        last: Number of last items that texts are compared with.
    """
    items = channels.data.items
    scorer = sequence_scorer(sequence.tuned, sequence.text, sequence.rows, sequence.config, items)
    recent = np.array([each.tuned.latest_counts() for each in channels.recent], np.float32)
    by_items: dict[str, Scorer] = {
        TEXT: TextSimilarity(text, last),
        WORDS: channels.words.tuned,
        EASE: channels.ease.tuned,
        ITEM_KNN: channels.item_knn.tuned,
        IALS: channels.ials.tuned,
        POPULARITY: Popularity(channels.popularity.tuned),
    }
    return {
        SASREC: scorer.score,
        **{name: history_channel(each) for name, each in by_items.items()},
        **recent_popularity_channels(recent),
        **({} if channels.valid.masked else repeat_channels(items)),
    }


def build_payload(
    sequence: TrainedSequence,
    channels: FittedChannels,
    weighted: WeightedChannels,
    query: QueryExport,
    users: pl.DataFrame,
    config: ExportConfig,
    feedback_until: int,
) -> Payload:
    """Return the model that serves: all channels as refitted on everything before the test.

    Args:
        sequence: The trained sequence model.
        channels: The other channels, and the data.
        weighted: The weights of all of them.
        query: Query encoder and item vectors in its space.
        users: Histories of the users, with the columns of `user_table`.
        config: Settings of the export.
        feedback_until: Number of the last event of the store that the data include.
    """
    data, tower = channels.data, sequence.config.tower
    ease, item_knn, ials = channels.ease.final, channels.item_knn.final, channels.ials.final
    recent = [each.final.latest_counts() for each in channels.recent]
    return Payload(
        config=ModelConfig(
            weights=weighted.weights,
            repeats=not data.valid.masked,
            window=tower.window,
            text_last=weighted.text_last,
            ease_decay=ease.decay,
            item_knn_decay=item_knn.decay,
            words_decay=channels.words.final.decay,
            ials=ials.config,
            ials_decay=ials.decay,
            query=query.config,
            retrieval=config.retrieval,
            tuned_until=_moment(data.train),
            trained_until=_moment(data.past),
            feedback_until=feedback_until,
        ),
        items=data.catalogue.items,
        users=users,
        vectors=item_vectors(sequence.final, sequence.text, sequence.rows, data.items),
        text=weighted.text.astype(np.float16),
        warm=data.past.warm_items(),
        counts=channels.popularity.final,
        ease=ease.weights,
        ease_rows=ease.rows,
        item_knn=item_knn.weights,
        item_knn_rows=item_knn.rows,
        words=channels.words.final.weights,
        ials_factors=ials.factors,
        recent_counts=np.array(recent, np.float32).reshape(len(recent), data.items),
        tower=export_tower(sequence.final.tower, tower.dim, tower.window),
        encoder=query.encoder,
        tokenizer=query.tokenizer,
        search=query.vectors,
    )


def _moment(log: InteractionLog) -> datetime:
    """Return when the last interaction happened; the beginning of 1970 without times."""
    end = log.end()
    return datetime.fromtimestamp(0.0 if np.isnan(end) else end, UTC)
