"""Words that a query shares with a title: what finds "toy story" whatever the encoder thinks of it."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

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
        places: dict[str, list[int]] = defaultdict(list)
        for row, title in enumerate(titles):
            for word in words(title or ""):
                places[word].append(row)
        self._places = {word: np.array(rows) for word, rows in places.items()}
        self._count = len(titles)
        self._sizes = np.zeros(self._count, np.float32)
        for word, rows in self._places.items():
            self._sizes[rows] += self.weigh(word)

    def match(self, query: str) -> NDArray[np.float32]:
        """`(items,)` in 0…1: the share of the query times the share of the title that they share."""
        common = np.zeros(self._count, np.float32)
        asked = words(query)
        for word in asked & self._places.keys():
            common[self._places[word]] += self.weigh(word)
        size = sum(map(self.weigh, asked))
        shared: NDArray[np.float32] = common**2 / np.maximum(self._sizes * size, 1e-9)
        return shared

    def _weight(self, word: str) -> np.float32:
        # A word that no title has is as rare as can be: it makes the rest of the query count less.
        return np.float32(np.log1p(self._count / len(self._places.get(word, (0,)))))


def words(text: str) -> set[str]:
    """The words of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return set(_WORD.findall("".join(s for s in plain if not unicodedata.combining(s))))
