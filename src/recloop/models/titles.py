"""Words that a query shares with a title: what finds "toy story" whatever the encoder thinks of it."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recloop.models.finders import best
from recloop.models.scope import EVERYTHING, Rows, Scope, distinct, meeting

_NOWHERE, _NOTHING = np.empty(0, np.int64), np.empty(0, np.float32)
_WORD = re.compile(r"[^\W_]+")


class TitleIndex:
    """An inverted index from words to titles, each word weighted by how rare it is.

    A word's weight is `log(1 + items / titles that have it)` (inverse document frequency, Spärck
    Jones 1972). Scripts without spaces, such as Chinese, match whole titles only. `weigh` says what a
    word weighs instead.
    """

    def __init__(
        self, titles: Sequence[str | None], weigh: Callable[[str], np.float32] | None = None
    ) -> None:
        self.weigh = weigh or self._weight
        self._fill([words(title or "") for title in titles])

    @classmethod
    def of(cls, told: Sequence[set[str]], weigh: Callable[[str], np.float32]) -> "TitleIndex":
        """Of titles whose `words` are known."""
        index = cls([], weigh)
        index._fill(told)
        return index

    def packed(self) -> dict[str, NDArray[Any]]:
        """As arrays."""
        lengths = [len(rows) for rows in self._places.values()]
        return {
            "words": np.frombuffer("\n".join(self._places).encode(), np.uint8),
            "starts": np.cumsum([0, *lengths]),
            "rows": np.concatenate([_NOWHERE, *self._places.values()]),
            "sizes": self._sizes,
        }

    @classmethod
    def unpacked(cls, arrays: Mapping[str, NDArray[Any]]) -> "TitleIndex":
        """What `packed` gave, the arrays left where they are."""
        index = cls([])
        told = bytes(arrays["words"]).decode().split("\n")
        starts, rows = arrays["starts"].tolist(), arrays["rows"]
        index._places = {
            word: rows[start:end]
            for word, start, end in zip(told, starts, starts[1:], strict=False)
        }
        index._sizes = arrays["sizes"]
        index._count = len(index._sizes)
        return index

    def _fill(self, told: Sequence[set[str]]) -> None:
        places: dict[str, list[int]] = defaultdict(list)
        for row, title in enumerate(told):
            for word in title:
                places[word].append(row)
        self._places: Mapping[str, Rows] = {word: np.array(rows) for word, rows in places.items()}
        self._count = len(told)
        self._sizes = np.zeros(self._count, np.float32)
        for word, rows in self._places.items():
            self._sizes[rows] += self.weigh(word)

    def match(self, query: str, scope: Scope = EVERYTHING) -> NDArray[np.float32]:
        """`(items in scope,)` in 0…1: the share of the query times that of the title that they share."""
        asked, sizes = words(query), self._sizes[scope.rows]
        if isinstance(scope.rows, slice):
            common = self._common(asked)
        else:
            common = self._common_to(asked, scope.rows)
        size = sum(map(self.weigh, asked))
        shared: NDArray[np.float32] = common**2 / np.maximum(sizes * size, 1e-9)
        return shared

    def find(self, query: str, count: int) -> Rows:
        """Rows of those that match best, in any order.

        Rare words come first. A title that has only words which the query shares with too many is worth no
        more than these weigh, and is not looked at where enough others are worth more (MaxScore, Turtle
        and Flood 1995).
        """
        asked = words(query) & self._places.keys()
        met, values, left = _NOWHERE, _NOTHING, sum(map(self.weigh, asked))
        for word in sorted(asked, key=self.weigh, reverse=True):
            if len(met) >= count and np.partition(values, -count)[-count] >= left:
                break
            met = distinct(met, self._places[word])
            values = self._common_to(asked, met) ** 2 / self._sizes[met]
            left -= self.weigh(word)
        return met[best(values, count)]

    def _common(self, asked: set[str]) -> NDArray[np.float32]:
        common = np.zeros(self._count, np.float32)
        for word in asked & self._places.keys():
            common[self._places[word]] += self.weigh(word)
        return common

    def _common_to(self, asked: set[str], rows: Rows) -> NDArray[np.float32]:
        """`_common` of `rows`, which ascend."""
        common = np.zeros(len(rows), np.float32)
        for word in asked & self._places.keys():
            common[meeting(rows, self._places[word])] += self.weigh(word)
        return common

    def _weight(self, word: str) -> np.float32:
        # A word that no title has is as rare as can be: it makes the rest of the query count less.
        return np.float32(np.log1p(self._count / len(self._places.get(word, (0,)))))


def words(text: str) -> set[str]:
    """The words of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return set(_WORD.findall("".join(s for s in plain if not unicodedata.combining(s))))
