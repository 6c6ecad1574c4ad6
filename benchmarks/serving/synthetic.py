"""A packaged model of any size, of items that were never sold: what numbers look like, not what they mean.

Each item lies in a space of 24 hidden tastes, near the centre of one of many topics, the topics near the
centre of one of a few departments. Text vectors, item vectors and factors are that point seen through a
fixed random matrix each, with noise: channels agree about as much as they do where they are learned from
one catalogue. Titles are words of the topic and words of all, texts are a few sentences of them.
Popularity falls as in Zipf's law; people are in a few topics, what they met is popular there; item-kNN
links items of one topic. Vectors are clustered, and so not the uniform noise in which nothing is near.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recloop import columns as c
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.trail import EVENT_NUMBERS
from recloop.models.blend import (
    COLLABORATIVE,
    CONTENT,
    LOW_RANK,
    NEIGHBOURS,
    POPULARITY,
    SEQUENTIAL,
    BlendWeights,
    trend,
)
from recloop.models.low_rank import IalsConfig
from recloop.models.newcomers import NewcomerTerms
from recloop.models.query import QueryCard
from recloop.recommender.retrieval import RetrievalConfig
from recloop.registry.card import Card
from recloop.registry.payload import Payload
from recloop.registry.users import SEEN

Floats = NDArray[np.float32]

_TASTES, _PER_TOPIC, _DEPARTMENTS = 24, 100, 40
_LINKS, _HEAD, _NEW_SHARE = 30, 2_000, 0.01
_WORDS, _TOPIC_WORDS, _LANGUAGES = 30_000, 40, ("en", "fr", "de", "es")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEIGHTS = {
    SEQUENTIAL: 1.0,
    COLLABORATIVE: 0.3,
    NEIGHBOURS: 0.3,
    LOW_RANK: 0.5,
    CONTENT: 0.4,
    POPULARITY: 0.1,
    trend(0): 0.1,
}


@dataclass(frozen=True)
class Shape:
    """How many items and users; widths of item vectors, factors and text vectors."""

    items: int
    users: int
    dim: int = 128
    factors: int = 64
    text: int = 384
    seed: int = 1


@dataclass(frozen=True)
class Brain:
    """What reads histories and queries: ONNX files, and how many steps the tower takes."""

    tower: bytes
    window: int
    query: QueryCard
    encoder: bytes
    tokenizer: str


@dataclass(frozen=True)
class World:
    """Topic and hidden tastes of each item, and how popular it is."""

    topics: NDArray[np.int64]
    tastes: Floats
    counts: Floats

    @classmethod
    def draw(cls, items: int, rng: np.random.Generator) -> "World":
        """Departments, topics in them, items in these."""
        topics = max(_DEPARTMENTS, items // _PER_TOPIC)
        departments = rng.normal(size=(_DEPARTMENTS, _TASTES))
        centres = departments[np.arange(topics) % _DEPARTMENTS] + rng.normal(size=(topics, _TASTES))
        mine = rng.integers(topics, size=items)
        tastes = centres[mine] + 0.6 * rng.normal(size=(items, _TASTES))
        counts = 10 * items / (10 + rng.permutation(items))
        return cls(mine, tastes.astype(np.float32), np.floor(counts).astype(np.float32))

    def seen_through(self, width: int, noise: float, rng: np.random.Generator) -> Floats:
        """`(items, width)`, with a spread of about one."""
        lens = (rng.normal(size=(_TASTES, width)) / np.sqrt(2.4 * _TASTES)).astype(np.float32)
        found = self.tastes @ lens
        found += np.float32(noise) * rng.standard_normal(found.shape, np.float32)
        return found


def payload(shape: Shape, brain: Brain, retrieval: RetrievalConfig) -> Payload:
    """The model; the same one for a shape."""
    rng = np.random.default_rng(shape.seed)
    world = World.draw(shape.items, rng)
    known = rng.random(shape.items) >= _NEW_SHARE
    text = world.seen_through(shape.text, 0.3, rng)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    vectors = world.seen_through(shape.dim, 0.5, rng)
    factors = world.seen_through(shape.factors, 0.5, rng) * known[:, None] * np.float32(0.3)
    counts = world.counts * known
    head = np.sort(np.argsort(-counts)[: min(_HEAD, shape.items)])
    return Payload(
        card=_card(brain, shape, retrieval),
        items=_items(world, rng),
        users=_users(world, known, shape.users, rng),
        vectors=vectors,
        text=text.astype(np.float16),
        known=known,
        counts=counts,
        collaborative=_together(world.tastes[head]),
        collaborative_rows=head,
        neighbours=_neighbours(world, known, rng),
        neighbours_rows=np.arange(shape.items),
        factors=factors,
        trends=np.stack([counts * rng.random(shape.items, np.float32)]),
        tower=brain.tower,
        encoder=brain.encoder,
        tokenizer=brain.tokenizer,
    )


def _card(brain: Brain, shape: Shape, retrieval: RetrievalConfig) -> Card:
    return Card(
        weights=BlendWeights(channels=WEIGHTS, newcomers=NewcomerTerms(stretch=1.2, shift=-0.5)),
        repeats=False,
        window=brain.window,
        content_last=5,
        decay=0.9,
        neighbours_decay=0.9,
        low_rank=IalsConfig(dim=shape.factors),
        low_rank_decay=0.9,
        query=brain.query,
        retrieval=retrieval,
        tuned_until=_NOW,
        trained_until=_NOW,
        feedback_until=0,
    )


def _together(tastes: Floats) -> Floats:
    """EASE's kind of weights among the head: few are large, none links an item to itself."""
    unit = tastes / np.linalg.norm(tastes, axis=1, keepdims=True)
    weights = np.maximum(unit @ unit.T - np.float32(0.5), 0) ** 2
    np.fill_diagonal(weights, 0)
    return weights


def _neighbours(
    world: World, known: NDArray[np.bool_], rng: np.random.Generator
) -> sparse.csr_matrix:
    """Of each known item, links to some of the known ones of its topic."""
    order = np.argsort(np.where(known, world.topics, world.topics.max() + 1), kind="stable")
    order = order[: known.sum()]
    place = np.repeat(np.arange(len(order)), _LINKS)
    other = place + rng.integers(1, _PER_TOPIC, len(place)) * rng.choice([-1, 1], len(place))
    fine = (other >= 0) & (other < len(order))
    rows, columns = order[place[fine]], order[other[fine]]
    fine = world.topics[rows] == world.topics[columns]
    weights = rng.random(fine.sum(), np.float32)
    shape = (len(known), len(known))
    return sparse.csr_matrix((weights, (rows[fine], columns[fine])), shape=shape)


def _items(world: World, rng: np.random.Generator) -> pl.DataFrame:
    """Titles of two to five words, texts of twelve to forty, one or two categories, two attributes."""
    count = len(world.topics)
    words = np.array(["".join(rng.choice(list("aeioumnrtslkdbp"), 7)) for _ in range(_WORDS)])
    lengths = rng.integers(2, 6, count), rng.integers(12, 41, count)
    titles, texts = (_sentences(world.topics, words, length, rng) for length in lengths)
    department = world.topics % _DEPARTMENTS
    prices, languages = rng.gamma(2, 10, count).round(2), rng.choice(_LANGUAGES, count)
    return pl.DataFrame(
        {
            c.ITEM: [f"i{row}" for row in range(count)],
            c.TITLE: titles,
            c.TEXT: texts,
            c.CATEGORIES: [
                [f"d{d}", f"t{t}"] for d, t in zip(department, world.topics, strict=True)
            ],
            c.ATTRIBUTES: [
                f'{{"price": {price}, "language": "{language}"}}'
                for price, language in zip(prices, languages, strict=True)
            ],
            c.PUBLISHED: [_NOW] * count,
            c.EXPIRES: [None] * count,
            c.AVAILABLE: rng.random(count) >= 0.02,  # noqa: PLR2004 - a fiftieth is sold out
        },
        schema=c.ITEMS,
    )


def _sentences(
    topics: NDArray[np.int64],
    words: NDArray[np.str_],
    lengths: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[str]:
    """Half of the words are of the item's topic, the others fall in frequency as in Zipf's law."""
    total = int(lengths.sum())
    common = np.minimum(rng.zipf(1.3, total), len(words)) - 1
    own = (np.repeat(topics, lengths) * 7919 + rng.integers(_TOPIC_WORDS, size=total)) % len(words)
    drawn = words[np.where(rng.random(total) < 0.5, own, common)]  # noqa: PLR2004 - said above
    ends = np.cumsum(lengths)
    return [" ".join(drawn[start:end]) for start, end in zip(ends - lengths, ends, strict=True)]


def _users(
    world: World, known: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Thirty to eighty items of three topics each, the popular ones first of all, an hour between two."""
    order = np.lexsort((-world.counts, world.topics))
    order = order[known[order]]
    starts = np.searchsorted(world.topics[order], np.arange(world.topics.max() + 2))
    filled = np.flatnonzero(np.diff(starts))
    histories = []
    for length in rng.integers(30, 81, count):
        topic = rng.choice(filled, 3)[rng.integers(3, size=length)]
        size = np.diff(starts)[topic]
        histories.append(order[starts[topic] + (size * rng.random(length) ** 2).astype(np.int64)])
    click = EVENT_NUMBERS[c.Event.CLICK]
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
