"""The channels of a packaged model, and, of a large catalogue, what each names as candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recloop.models.at_hand import AtHand, by_product
from recloop.models.blend import (
    COLLABORATIVE,
    CONTENT,
    LOW_RANK,
    NEIGHBOURS,
    POPULARITY,
    SEQUENTIAL,
    Blend,
    repeat_channels,
    trend_channels,
)
from recloop.models.content import Content
from recloop.models.finders import Finder, Once, by_counts, by_return, by_vector, linked
from recloop.models.item_item import ItemItem, by_links, quickest
from recloop.models.low_rank import LowRank
from recloop.models.newcomers import Alike, Newcomers
from recloop.models.popularity import Popularity
from recloop.models.scorer import Channel, Scorer, by_history, signals_of
from recloop.models.sequential import Sequential

if TYPE_CHECKING:
    from recloop.registry.indexes import Indexes
    from recloop.registry.payload import Payload


def blend_of(payload: Payload) -> Blend:
    """The channels, mixed; with finders where the payload has indexes."""
    card, items, indexes = payload.card, len(payload.items), payload.indexes
    sequential = Sequential(payload.tower, payload.vectors, card.window)
    text = payload.text if indexes else payload.text.astype(np.float32)
    ease = ItemItem(payload.collaborative, payload.collaborative_rows, items, card.decay)
    near = quickest(payload.neighbours)
    neighbours = ItemItem(near, payload.neighbours_rows, items, card.neighbours_decay)
    low_rank = LowRank(payload.factors, card.low_rank, card.low_rank_decay)
    content = Content(text, card.content_last)
    by_items: dict[str, Scorer] = {
        COLLABORATIVE: ease,
        NEIGHBOURS: neighbours,
        LOW_RANK: low_rank,
        CONTENT: content,
        POPULARITY: Popularity(payload.counts),
    }
    counted, repeated = trend_channels(payload.trends), repeat_channels(items)
    channels: dict[str, Channel] = {
        SEQUENTIAL: sequential.score,
        **{name: by_history(scorer) for name, scorer in by_items.items()},
        **counted,
        **(repeated if card.repeats else {}),
    }
    if indexes is None:
        newcomers = Newcomers(content.text, payload.known, card.weights.newcomers)
        return Blend(channels, card.weights, newcomers)
    users = {
        SEQUENTIAL: Once(lambda asked: sequential.users(asked.histories, signals_of(asked))),
        LOW_RANK: Once(lambda asked: low_rank.users(asked.histories)),
        CONTENT: Once(lambda asked: content.users(asked.histories)),
    }
    vectors = {SEQUENTIAL: payload.vectors, LOW_RANK: payload.factors, CONTENT: text}
    nearest = {SEQUENTIAL: indexes.vectors, LOW_RANK: indexes.factors, CONTENT: indexes.text}
    links = {
        COLLABORATIVE: Once(lambda asked: [ease.links(each) for each in asked.histories]),
        NEIGHBOURS: Once(lambda asked: [neighbours.links(each) for each in asked.histories]),
    }
    sample = payload.sample.rows
    channels |= {name: by_product(users[name], AtHand(vectors[name], sample)) for name in users}
    channels |= {name: by_links(links[name], items) for name in links}
    finders: dict[str, Finder] = {
        **{name: by_vector(nearest[name], users[name]) for name in users},
        **{name: linked(links[name]) for name in links},
        **_by_counts(payload, list(counted)),
        **dict.fromkeys(repeated, by_return()),
    }
    return Blend(channels, card.weights, _newcomers(payload, indexes), finders)


def _by_counts(payload: Payload, trends: list[str]) -> dict[str, Finder]:
    at_most = payload.card.retrieval.count * payload.card.retrieval.wider
    counts = [payload.counts, *payload.trends]
    named = zip([POPULARITY, *trends], counts, strict=True)
    return {name: by_counts(own, at_most) for name, own in named}


def _newcomers(payload: Payload, indexes: Indexes) -> Alike:
    known = payload.known
    likeness = indexes.nearest.likeness(len(known))
    return Alike(likeness, np.flatnonzero(~known), known, payload.card.weights.newcomers)
