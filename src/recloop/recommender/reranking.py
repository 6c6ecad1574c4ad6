"""The language model's say on the first places of each list. Knows no clock and no thread.

It permutes: the item that comes first in the mixed order gets the best of the scores that these places
had, and so on. What comes after scores (rules, ranking) sees scores as before.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.models.ranking import top_k
from recloop.models.rerank import rerank
from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import History, Scores

RANKER = "ranker"

Logits = NDArray[np.float32]
# Asks for logits, or does without: None.
Judge = Callable[[Callable[[], Logits]], Logits | None]


class Ranker(Protocol):
    """Reads what somebody did, beside each candidate."""

    def logits(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> Logits:
        """`(candidates,)`; `behaviour` holds the titles of the history's items, oldest first."""
        ...


class Asking(Protocol):
    """Of a request, what concerns the ranker. `judge`: how it is asked, by default directly."""

    @property
    def query(self) -> str | None: ...
    @property
    def judge(self) -> Judge | None: ...


class Reranker:
    """A ranker, its weight, and the items' words: `titles` of what was met, `texts` of candidates.

    The first `depth` places of a list are read.
    """

    def __init__(
        self,
        ranker: Ranker,
        weight: float,
        depth: int,
        titles: Sequence[str | None],
        texts: Sequence[str],
    ) -> None:
        self._ranker = ranker
        self._weight = weight
        self._depth = depth
        self.words = list(zip(titles, texts, strict=True))

    def over(self, rows: Rows, titles: Sequence[str | None], texts: Sequence[str]) -> "Reranker":
        """The same, but for these items in these rows; new ones follow the last, in order."""
        other = copy(self)
        other.words = [*self.words, *[(None, "")] * (max(rows) + 1 - len(self.words))]
        for row, words in zip(rows, zip(titles, texts, strict=True), strict=True):
            other.words[row] = words
        return other

    def lead(
        self,
        parts: Mapping[str, Scores],
        scores: Scores,
        histories: Sequence[History],
        forbidden: Sequence[Rows],
        asked: Sequence[Asking],
        scope: Scope = EVERYTHING,
    ) -> tuple[dict[str, Scores], Scores]:
        """The parts and the scores `(requests, items in scope)` with the ranker's moves in them.

        `forbidden` are places in scope.

        Raises:
            ValueError: asked directly, the ranker answered with something else than numbers.
        """
        moves = np.zeros_like(scores)
        for row, (history, refused, each) in enumerate(
            zip(histories, forbidden, asked, strict=True)
        ):
            self._move(moves[row], scores[row], history, refused, each, scope)
        if not moves.any():
            return dict(parts), scores
        return {**parts, RANKER: moves}, scores + moves

    def _move(
        self,
        moves: Logits,
        scores: Logits,
        history: History,
        refused: Rows,
        asked: Asking,
        scope: Scope,
    ) -> None:
        ranked, values = top_k(scores[None], [refused], self._depth)
        kept = ranked[0] >= 0
        ranked, values = ranked[:, kept], values[:, kept]
        if ranked.size < 2:  # noqa: PLR2004 - nothing to put in order
            return
        judge = asked.judge or _directly
        logits = judge(lambda: self._read(history, asked.query, scope.rows_at(ranked[0])))
        if logits is not None:
            order, _ = rerank(ranked, values, logits[None], self._weight)
            moves[order[0]] = _descending(values[0]) - scores[order[0]]

    def _read(self, history: History, query: str | None, candidates: Rows) -> Logits:
        behaviour = [self.words[row][0] or "" for row in history]
        logits = self._ranker.logits(behaviour, query, [self.words[row][1] for row in candidates])
        if logits.shape != candidates.shape or not np.isfinite(logits).all():
            raise ValueError("the ranker answered with something else than numbers")
        return logits


def _directly(ask: Callable[[], Logits]) -> Logits:
    return ask()


def _descending(values: Logits) -> Logits:
    """The same scores, equal ones told apart by the last bit, so that they hold an order."""
    apart = values.copy()
    for place in range(1, len(apart)):
        apart[place] = min(apart[place], np.nextafter(apart[place - 1], np.float32(-np.inf)))
    return apart
