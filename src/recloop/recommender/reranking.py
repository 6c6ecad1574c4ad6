"""Re-ranking: the cross-encoder orders the first items of each list.

The ranker only permutes. The item that is first in the new order gets the highest of the scores of
the re-ranked items, the second one the second highest, and so on. Later steps (rules, top k)
therefore work with scores on the same scale with and without a ranker.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.ranker.weighting import rerank
from recloop.scoring.scorer import History, Scores
from recloop.scoring.top_k import top_k

RANKER = "ranker"

Logits = NDArray[np.float32]
# Calls a function that returns logits; returns None to leave the ranker out.
RankerCall = Callable[[Callable[[], Logits]], Logits | None]


def call_directly(get_logits: Callable[[], Logits]) -> Logits:
    """Return the ranker's logits `(candidates,)`, computed in this thread without a time limit."""
    return get_logits()


class Ranker(Protocol):
    """Cross-encoder that reads a user's behaviour together with each candidate."""

    def logits(
        self, behaviour: Sequence[str], query: str | None, candidates: Sequence[str]
    ) -> Logits:
        """Return one relevance logit per candidate, shape `(candidates,)`, float32.

        Args:
            behaviour: Titles of the items of the history, oldest first.
            query: Search query.
            candidates: Texts of the candidates.
        """
        ...


class Reranker:
    """Re-ranks the first `depth` items of each list by a ranker.

    Args:
        ranker: The cross-encoder.
        weight: Weight of the ranker's order against the order of the blend.
        depth: Number of items that are re-ranked.
        titles: Title of each item, used for items of the history.
        texts: Text of each item, used for candidates.
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
        self.item_texts = list(zip(titles, texts, strict=True))

    def with_items(
        self, rows: Rows, titles: Sequence[str | None], texts: Sequence[str]
    ) -> "Reranker":
        """Return a copy with other titles and texts in these rows; new rows follow the last one.

        Args:
            rows: Rows of the items, shape `(items,)`.
            titles: Titles, in the same order.
            texts: Texts, in the same order.
        """
        other = copy(self)
        missing = max(rows) + 1 - len(self.item_texts)
        other.item_texts = [*self.item_texts, *[(None, "")] * missing]
        for row, item in zip(rows, zip(titles, texts, strict=True), strict=True):
            other.item_texts[row] = item
        return other

    def apply(
        self,
        contributions: Mapping[str, Scores],
        scores: Scores,
        histories: Sequence[History],
        ineligible: Sequence[Rows],
        queries: Sequence[str | None],
        candidates: Candidates = ALL_ITEMS,
        call_ranker: RankerCall = call_directly,
    ) -> tuple[dict[str, Scores], Scores]:
        """Add the score changes of the ranker to the contributions and to the scores.

        Args:
            contributions: Contribution of each channel, each `(requests, candidates)`.
            scores: Sum of the contributions, `(requests, candidates)`, float32.
            histories: Item rows of each request's history, oldest first.
            ineligible: For each request, candidate positions that must not be in its list.
            queries: Search query of each request.
            candidates: The items that were scored.
            call_ranker: Runs the ranker, or returns None to leave it out.

        Returns:
            Contributions and scores of the same shapes.

        Raises:
            ValueError: The ranker, called directly, returned a wrong shape or a value that is not
                finite.
        """
        changes = np.zeros_like(scores)
        for number, query in enumerate(queries):
            ranked, values = top_k(scores[number][None], [ineligible[number]], self._depth)
            kept = ranked[0] >= 0
            ranked, values = ranked[:, kept], values[:, kept]
            if ranked.size < 2:  # noqa: PLR2004 - nothing to reorder
                continue
            logits = call_ranker(
                partial(self._logits, histories[number], query, candidates.rows_at(ranked[0]))
            )
            if logits is not None:
                order, _ = rerank(ranked, values, logits[None], self._weight)
                changes[number, order[0]] = _descending(values[0]) - scores[number, order[0]]
        if not changes.any():
            return dict(contributions), scores
        return {**contributions, RANKER: changes}, scores + changes

    def _logits(self, history: History, query: str | None, rows: Rows) -> Logits:
        behaviour = [self.item_texts[row][0] or "" for row in history]
        texts = [self.item_texts[row][1] for row in rows]
        logits = self._ranker.logits(behaviour, query, texts)
        if logits.shape != rows.shape:
            raise ValueError(f"the ranker returned shape {logits.shape} instead of {rows.shape}")
        if not np.isfinite(logits).all():
            raise ValueError("the ranker returned values that are not finite")
        return logits


def _descending(values: Logits) -> Logits:
    """Lower equal scores by one float each, so that the order of the list is strict.

    The scores are those of one list, best first, shape `(items,)`.
    """
    strict = values.copy()
    for rank in range(1, len(strict)):
        strict[rank] = min(strict[rank], np.nextafter(strict[rank - 1], np.float32(-np.inf)))
    return strict
