"""Synthetic packaged models of any size, for measuring speed and memory.

Each item is a point in a space of 24 latent dimensions, near the centre of its topic; topics lie
near the centres of a few departments. Text vectors, item vectors and factors are random linear
projections of that point with noise, so that channels agree about as much as if they were learned
from one catalogue. The vectors are clustered as real ones are; in uniform noise, nearest-neighbour
search would be harder than it is in practice.

Titles and texts mix words of the topic with words of the whole vocabulary. Popularity follows
Zipf's law. Each user is interested in a few topics and has interacted with popular items of them.
Item-kNN links items of the same topic.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recloop import columns as c
from recloop.data.frame_schemas import ITEMS
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import EVENT_CODES
from recloop.recommender.retrieval import RetrievalConfig
from recloop.registry.model_config import ModelConfig
from recloop.registry.payload import Payload
from recloop.registry.user_table import SEEN
from recloop.scoring.blend import (
    EASE,
    IALS,
    ITEM_KNN,
    POPULARITY,
    SASREC,
    TEXT,
    WORDS,
    BlendWeights,
    recent_popularity,
)
from recloop.scoring.channels.implicit_als import ImplicitALSConfig
from recloop.scoring.cold_items import ColdItemCalibration
from recloop.scoring.query.matcher import QueryModelConfig

Floats = NDArray[np.float32]

_DIMENSIONS, _ITEMS_PER_TOPIC, _DEPARTMENTS = 24, 100, 40
_LINKS, _HEAD, _NEW_SHARE = 30, 2_000, 0.01
_WORDS, _TOPIC_WORDS, _LANGUAGES = 30_000, 40, ("en", "fr", "de", "es")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEIGHTS = {
    SASREC: 1.0,
    EASE: 0.3,
    ITEM_KNN: 0.3,
    IALS: 0.5,
    TEXT: 0.4,
    WORDS: 0.3,
    POPULARITY: 0.1,
    recent_popularity(0): 0.1,
}


@dataclass(frozen=True)
class ModelSize:
    """Number of items and users; widths of item vectors, factors and text vectors."""

    items: int
    users: int
    dim: int = 128
    factors: int = 64
    text: int = 384
    seed: int = 1


@dataclass(frozen=True)
class OnnxModels:
    """ONNX models of histories and queries; `window` is the history length of the tower."""

    tower: bytes
    window: int
    query: QueryModelConfig
    encoder: bytes
    tokenizer: str


@dataclass(frozen=True)
class LatentItems:
    """Topic, latent point and interaction count of each item."""

    topics: NDArray[np.int64]
    points: Floats
    counts: Floats

    @classmethod
    def draw(cls, items: int, rng: np.random.Generator) -> "LatentItems":
        """Draw departments, topics around them, and items around the topics."""
        topics = max(_DEPARTMENTS, items // _ITEMS_PER_TOPIC)
        departments = rng.normal(size=(_DEPARTMENTS, _DIMENSIONS))
        centres = departments[np.arange(topics) % _DEPARTMENTS] + rng.normal(
            size=(topics, _DIMENSIONS)
        )
        topic = rng.integers(topics, size=items)
        points = centres[topic] + 0.6 * rng.normal(size=(items, _DIMENSIONS))
        counts = 10 * items / (10 + rng.permutation(items))
        return cls(topic, points.astype(np.float32), np.floor(counts).astype(np.float32))

    def project(self, width: int, noise: float, rng: np.random.Generator) -> Floats:
        """Return a noisy projection of the latent points, `(items, width)`, variance about 1."""
        projection = (rng.normal(size=(_DIMENSIONS, width)) / np.sqrt(2.4 * _DIMENSIONS)).astype(
            np.float32
        )
        found: Floats = self.points @ projection
        found += np.float32(noise) * rng.standard_normal(found.shape, np.float32)
        return found


def synthetic_payload(size: ModelSize, models: OnnxModels, retrieval: RetrievalConfig) -> Payload:
    """Return a synthetic model; it is the same for the same size."""
    rng = np.random.default_rng(size.seed)
    latent = LatentItems.draw(size.items, rng)
    is_warm = rng.random(size.items) >= _NEW_SHARE
    text = latent.project(size.text, 0.3, rng)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    vectors = latent.project(size.dim, 0.5, rng)
    factors = latent.project(size.factors, 0.5, rng) * is_warm[:, None] * np.float32(0.3)
    counts = latent.counts * is_warm
    head = np.sort(np.argsort(-counts)[: min(_HEAD, size.items)])
    return Payload(
        config=_config(models, size, retrieval),
        items=_items(latent, rng),
        users=_users(latent, is_warm, size.users, rng),
        vectors=vectors,
        text=text.astype(np.float16),
        warm=is_warm,
        counts=counts,
        ease=_co_occurrence(latent.points[head]),
        ease_rows=head,
        item_knn=_neighbours(latent, is_warm, rng),
        item_knn_rows=np.arange(size.items),
        words=_neighbours(latent, is_warm, rng),
        ials_factors=factors,
        recent_counts=np.stack([counts * rng.random(size.items, np.float32)]),
        tower=models.tower,
        encoder=models.encoder,
        tokenizer=models.tokenizer,
    )


def _config(models: OnnxModels, size: ModelSize, retrieval: RetrievalConfig) -> ModelConfig:
    return ModelConfig(
        weights=BlendWeights(
            channels=WEIGHTS, cold_items=ColdItemCalibration(scale=1.2, offset=-0.5)
        ),
        repeats=False,
        window=models.window,
        text_last=5,
        ease_decay=0.9,
        item_knn_decay=0.9,
        ials=ImplicitALSConfig(dim=size.factors),
        ials_decay=0.9,
        query=models.query,
        retrieval=retrieval,
        tuned_until=_NOW,
        trained_until=_NOW,
        feedback_until=0,
    )


def _co_occurrence(points: Floats) -> Floats:
    """Return weights like those of EASE: few are large, and the diagonal is zero."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    weights: Floats = np.maximum(unit @ unit.T - np.float32(0.5), 0) ** 2
    np.fill_diagonal(weights, 0)
    return weights


def _neighbours(
    latent: LatentItems, is_warm: NDArray[np.bool_], rng: np.random.Generator
) -> sparse.csr_matrix:
    """Link each warm item to some warm items of its topic."""
    order = np.argsort(np.where(is_warm, latent.topics, latent.topics.max() + 1), kind="stable")
    order = order[: is_warm.sum()]
    position = np.repeat(np.arange(len(order)), _LINKS)
    other = position + rng.integers(1, _ITEMS_PER_TOPIC, len(position)) * rng.choice(
        [-1, 1], len(position)
    )
    fine = (other >= 0) & (other < len(order))
    rows, columns = order[position[fine]], order[other[fine]]
    fine = latent.topics[rows] == latent.topics[columns]
    weights = rng.random(fine.sum(), np.float32)
    shape = (len(is_warm), len(is_warm))
    return sparse.csr_matrix((weights, (rows[fine], columns[fine])), shape=shape)


def _items(latent: LatentItems, rng: np.random.Generator) -> pl.DataFrame:
    """Draw titles of 2 to 5 words, texts of 12 to 40 words, two categories and two attributes."""
    count = len(latent.topics)
    words = np.array(["".join(rng.choice(list("aeioumnrtslkdbp"), 7)) for _ in range(_WORDS)])
    lengths = rng.integers(2, 6, count), rng.integers(12, 41, count)
    titles, texts = (_sentences(latent.topics, words, length, rng) for length in lengths)
    department = latent.topics % _DEPARTMENTS
    prices, languages = rng.gamma(2, 10, count).round(2), rng.choice(_LANGUAGES, count)
    return pl.DataFrame(
        {
            c.ITEM: [f"i{row}" for row in range(count)],
            c.TITLE: titles,
            c.TEXT: texts,
            c.CATEGORIES: [
                [f"d{d}", f"t{t}"] for d, t in zip(department, latent.topics, strict=True)
            ],
            c.ATTRIBUTES: [
                f'{{"price": {price}, "language": "{language}"}}'
                for price, language in zip(prices, languages, strict=True)
            ],
            c.PUBLISHED: [_NOW] * count,
            c.EXPIRES: [None] * count,
            c.AVAILABLE: rng.random(count) >= 0.02,  # noqa: PLR2004 - 2 % are sold out
        },
        schema=ITEMS,
    )


def _sentences(
    topics: NDArray[np.int64],
    words: NDArray[np.str_],
    lengths: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[str]:
    """Draw half of the words from the item's topic, the others by Zipf's law from all words."""
    total = int(lengths.sum())
    common = np.minimum(rng.zipf(1.3, total), len(words)) - 1
    own = (np.repeat(topics, lengths) * 7919 + rng.integers(_TOPIC_WORDS, size=total)) % len(words)
    drawn = words[np.where(rng.random(total) < 0.5, own, common)]  # noqa: PLR2004 - see above
    ends = np.cumsum(lengths)
    return [" ".join(drawn[start:end]) for start, end in zip(ends - lengths, ends, strict=True)]


def _users(
    latent: LatentItems, is_warm: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Draw histories of 30 to 80 items of three topics each, with popular items more often.

    Two events of a user are an hour apart.
    """
    order = np.lexsort((-latent.counts, latent.topics))
    order = order[is_warm[order]]
    starts = np.searchsorted(latent.topics[order], np.arange(latent.topics.max() + 2))
    filled = np.flatnonzero(np.diff(starts))
    histories = []
    for length in rng.integers(30, 81, count):
        topic = rng.choice(filled, 3)[rng.integers(3, size=length)]
        size = np.diff(starts)[topic]
        histories.append(order[starts[topic] + (size * rng.random(length) ** 2).astype(np.int64)])
    click = EVENT_CODES[c.Event.CLICK]
    times = [[_NOW.timestamp() - 3600.0 * (len(h) - n) for n in range(len(h))] for h in histories]
    columns = {
        HISTORY: (pl.List(pl.Int32), histories),
        TIMES: (pl.List(pl.Float64), times),
        EVENTS: (pl.List(pl.Int8), [[click] * len(history) for history in histories]),
        SEEN: (pl.List(pl.Int32), [np.unique(history) for history in histories]),
    }
    return pl.DataFrame(
        {c.USER: [f"u{number}" for number in range(count)]}
        | {name: pl.Series(values, dtype=kind) for name, (kind, values) in columns.items()}
    )
