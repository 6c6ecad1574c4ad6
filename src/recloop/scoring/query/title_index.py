"""Inverted index of titles, which finds an item by its name whatever the encoder makes of it."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, common_positions, sorted_union
from recloop.scoring.candidates.generators import top_positions

_NO_ROWS, _NO_VALUES = np.empty(0, np.int64), np.empty(0, np.float32)
_WORD = re.compile(r"[^\W_]+")


class TitleIndex:
    """Inverted index from words to titles, with words weighted by inverse document frequency.

    The weight of a word is `log(1 + titles / titles with the word)`. Scripts without spaces, such
    as Chinese, match whole titles only.

    Args:
        titles: Title of each item.
        word_weight: Returns the weight of a word, in place of the index's own.

    >>> index = TitleIndex(["Toy Story", "The Story of Us", None])
    >>> print(index.match("toy story").round(2))
    [1.   0.07 0.  ]
    >>> index.top_matches("story", count=1).tolist()
    [0]

    Reference:
        Spärck Jones 1972, "A statistical interpretation of term specificity and its application in
        retrieval".
    """

    def __init__(
        self, titles: Sequence[str | None], word_weight: Callable[[str], np.float32] | None = None
    ) -> None:
        self.word_weight = word_weight or self._inverse_document_frequency
        self._fill([tokenise(title or "") for title in titles])

    @classmethod
    def from_words(
        cls, titles: Sequence[set[str]], word_weight: Callable[[str], np.float32]
    ) -> "TitleIndex":
        """Build an index of titles that are tokenised already."""
        index = cls([], word_weight)
        index._fill(titles)
        return index

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the index as arrays that can be saved.

        Returns:
            `words`: The words in UTF-8, one a line, `(bytes,)`; `starts`: start of each word's rows
            and the end, `(words + 1,)`; `rows`: rows of all words, one word after the other;
            `sizes`: total weight of each title's words, `(titles,)`.
        """
        lengths = [len(rows) for rows in self._rows_of.values()]
        return {
            "words": np.frombuffer("\n".join(self._rows_of).encode(), np.uint8),
            "starts": np.cumsum([0, *lengths]),
            "rows": np.concatenate([_NO_ROWS, *self._rows_of.values()]),
            "sizes": self._total_weight,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "TitleIndex":
        """Build an index from the arrays of `to_arrays`, in their shapes.

        They may stay memory-mapped.
        """
        index = cls([])
        words = bytes(arrays["words"]).decode().split("\n")
        starts, rows = arrays["starts"].tolist(), arrays["rows"]
        index._rows_of = {
            word: rows[start:end]
            for word, start, end in zip(words, starts, starts[1:], strict=False)
        }
        index._total_weight = arrays["sizes"]
        index._count = len(index._total_weight)
        return index

    def _fill(self, titles: Sequence[set[str]]) -> None:
        rows_of: dict[str, list[int]] = defaultdict(list)
        for row, title in enumerate(titles):
            for word in title:
                rows_of[word].append(row)
        self._rows_of: Mapping[str, Rows] = {word: np.array(rows) for word, rows in rows_of.items()}
        self._count = len(titles)
        self._total_weight = np.zeros(self._count, np.float32)
        for word, rows in self._rows_of.items():
            self._total_weight[rows] += self.word_weight(word)

    def match(self, query: str, candidates: Candidates = ALL_ITEMS) -> NDArray[np.float32]:
        """Return how well the candidates' titles match a query, in [0, 1], `(candidates,)`.

        A match is the shared words' share of the query's weight times their share of the title's.
        """
        words, total_weight = tokenise(query), self._total_weight[candidates.rows]
        if isinstance(candidates.rows, slice):
            shared = self._shared_weight(words)
        else:
            shared = self._shared_weight_of(words, candidates.rows)
        query_weight = sum(map(self.word_weight, words))
        match: NDArray[np.float32] = shared**2 / np.maximum(total_weight * query_weight, 1e-9)
        return match

    def top_matches(self, query: str, count: int) -> Rows:
        """Return the rows with the best matches, in any order, at most `(count,)`.

        Words are looked up from the rarest to the most common one. Once `count` titles match better
        than the words that are left could make any further title match, the search ends.

        Reference:
            Turtle & Flood 1995, "Query evaluation: strategies and optimizations" (MaxScore).
        """
        words = tokenise(query) & self._rows_of.keys()
        rows, values, left = _NO_ROWS, _NO_VALUES, sum(map(self.word_weight, words))
        for word in sorted(words, key=self.word_weight, reverse=True):
            if len(rows) >= count and np.partition(values, -count)[-count] >= left:
                break
            rows = sorted_union(rows, self._rows_of[word])
            values = self._shared_weight_of(words, rows) ** 2 / self._total_weight[rows]
            left -= self.word_weight(word)
        return rows[top_positions(values, count)]

    def _shared_weight(self, words: set[str]) -> NDArray[np.float32]:
        """Return the total weight of the words in each title, `(items,)`."""
        shared = np.zeros(self._count, np.float32)
        for word in words & self._rows_of.keys():
            shared[self._rows_of[word]] += self.word_weight(word)
        return shared

    def _shared_weight_of(self, words: set[str], rows: Rows) -> NDArray[np.float32]:
        """Return the total weight of the words in the titles of `rows`, ascending, `(rows,)`."""
        shared = np.zeros(len(rows), np.float32)
        for word in words & self._rows_of.keys():
            shared[common_positions(rows, self._rows_of[word])] += self.word_weight(word)
        return shared

    def _inverse_document_frequency(self, word: str) -> np.float32:
        # A word that is in no title counts as the rarest one and lowers every match of the query.
        return np.float32(np.log1p(self._count / len(self._rows_of.get(word, (0,)))))


def tokenise(text: str) -> set[str]:
    """Return the distinct words of a text, without case and accents.

    >>> sorted(tokenise("Amélie, the FILM"))
    ['amelie', 'film', 'the']
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return set(_WORD.findall("".join(s for s in plain if not unicodedata.combining(s))))
