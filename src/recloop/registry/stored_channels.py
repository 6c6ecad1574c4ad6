"""Channels of a packaged model and, for a large catalogue, their candidate generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recloop.scoring.blend import (
    EASE,
    IALS,
    ITEM_KNN,
    POPULARITY,
    SASREC,
    TEXT,
    WORDS,
    Blend,
    recent_popularity_channels,
    repeat_channels,
)
from recloop.scoring.candidates.generators import (
    CandidateGenerator,
    history_candidates,
    item_item_candidates,
    memoised_per_request,
    popularity_candidates,
    vector_candidates,
)
from recloop.scoring.candidates.pinned_rows import PinnedRows, dot_product_channel
from recloop.scoring.channels.implicit_als import ImplicitALS
from recloop.scoring.channels.item_item import ItemItemModel, densify_if_full, sparse_scores_channel
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.channels.sasrec import SASRec
from recloop.scoring.channels.text import TextSimilarity
from recloop.scoring.cold_items import ColdItemScorer
from recloop.scoring.scorer import Channel, Scorer, history_channel, signals_or_unknown

if TYPE_CHECKING:
    from recloop.registry.payload import Payload
    from recloop.registry.stored_indexes import Indexes


def blend_of(payload: Payload) -> Blend:
    """Return the blend of the channels, with candidate generators if the payload has indexes."""
    config, items, indexes = payload.config, len(payload.items), payload.indexes
    sequential = SASRec(payload.tower, payload.vectors, config.window)
    text = payload.text if indexes else payload.text.astype(np.float32)
    ease = ItemItemModel(payload.ease, payload.ease_rows, items, config.ease_decay)
    near = densify_if_full(payload.item_knn)
    item_knn = ItemItemModel(near, payload.item_knn_rows, items, config.item_knn_decay)
    words = ItemItemModel(payload.words, np.arange(items), items, config.words_decay)
    ials = ImplicitALS(payload.ials_factors, config.ials, config.ials_decay)
    content = TextSimilarity(text, config.text_last)
    by_items: dict[str, Scorer] = {
        EASE: ease,
        ITEM_KNN: item_knn,
        IALS: ials,
        TEXT: content,
        WORDS: words,
        POPULARITY: Popularity(payload.counts),
    }
    counted, repeated = recent_popularity_channels(payload.recent_counts), repeat_channels(items)
    channels: dict[str, Channel] = {
        SASREC: sequential.score,
        **{name: history_channel(scorer) for name, scorer in by_items.items()},
        **counted,
        **(repeated if config.repeats else {}),
    }
    if indexes is None:
        cold_items = ColdItemScorer.from_text(content.text, payload.warm, config.weights.cold_items)
        return Blend(channels, config.weights, cold_items)
    users = {
        SASREC: memoised_per_request(
            lambda requests: sequential.user_vectors(
                requests.histories, signals_or_unknown(requests)
            )
        ),
        IALS: memoised_per_request(lambda requests: ials.user_vectors(requests.histories)),
        TEXT: memoised_per_request(lambda requests: content.user_vectors(requests.histories)),
    }
    vectors = {SASREC: payload.vectors, IALS: payload.ials_factors, TEXT: text}
    nearest = {SASREC: indexes.vectors, IALS: indexes.factors, TEXT: indexes.text}
    item_scores = {
        EASE: memoised_per_request(
            lambda requests: [ease.sparse_scores_for(each) for each in requests.histories]
        ),
        ITEM_KNN: memoised_per_request(
            lambda requests: [item_knn.sparse_scores_for(each) for each in requests.histories]
        ),
        WORDS: memoised_per_request(
            lambda requests: [words.sparse_scores_for(each) for each in requests.histories]
        ),
    }
    sample = payload.sample.rows
    channels |= {
        name: dot_product_channel(users[name], PinnedRows(vectors[name], sample)) for name in users
    }
    channels |= {name: sparse_scores_channel(item_scores[name], items) for name in item_scores}
    generators: dict[str, CandidateGenerator] = {
        **{name: vector_candidates(nearest[name], users[name]) for name in users},
        **{name: item_item_candidates(item_scores[name]) for name in item_scores},
        **_popularity_generators(payload, list(counted)),
        **dict.fromkeys(repeated, history_candidates()),
    }
    return Blend(channels, config.weights, _cold_items(payload, indexes), generators)


def _popularity_generators(payload: Payload, names: list[str]) -> dict[str, CandidateGenerator]:
    at_most = payload.config.retrieval.per_channel * payload.config.retrieval.widen_factor
    counts = [payload.counts, *payload.recent_counts]
    named = zip([POPULARITY, *names], counts, strict=True)
    return {name: popularity_candidates(own, at_most) for name, own in named}


def _cold_items(payload: Payload, indexes: Indexes) -> ColdItemScorer:
    warm = payload.warm
    similarity = indexes.nearest.to_matrix(len(warm))
    return ColdItemScorer(
        similarity, np.flatnonzero(~warm), warm, payload.config.weights.cold_items
    )
