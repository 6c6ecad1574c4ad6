"""Requests as arrays, and how well ranked lists answer them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.trail import Signals, event_numbers, seconds, signals
from recloop.evaluation.metrics import Hits, ndcg
from recloop.models.ranking import Ranked, top_k
from recloop.models.scope import EVERYTHING, Scope
from recloop.models.scorer import Scorer, Scores

# Stands where there is no relevant item; an empty rank is another number.
_NO_ROW = -2
# Scores that are in memory at once, of each channel: 32 MB.
_CELLS = 1 << 23


@dataclass(frozen=True)
class Requests:
    """Histories and relevant items of each request, as row numbers of the catalogue.

    `users` and `at` (seconds, NaN unknown) are `(requests,)` where somebody needs them. `masked`: an
    item of the history is never an answer. `signals` of the histories' steps, where they are known.
    """

    histories: list[Rows]
    relevant: list[Rows]
    users: Rows | None = None
    at: NDArray[np.float64] | None = None
    masked: bool = True
    signals: list[Signals] | None = None
    scope: Scope = EVERYTHING

    @classmethod
    def encode(
        cls, table: pl.DataFrame, catalogue: Catalogue, *, repeats: bool = False
    ) -> "Requests":
        """From the table that `split.requests` makes; without times, where it has none."""
        at, told = None, None
        if TIMES in table.columns:
            at = seconds(table[c.TIME])
            told = list(_signals(table, catalogue, at))
        return cls(
            [catalogue.rows(items) for items in table[HISTORY]],
            [catalogue.rows(items) for items in table[c.RELEVANT]],
            users=np.unique(table[c.USER].to_numpy(), return_inverse=True)[1],
            at=at,
            masked=not repeats,
            signals=told,
        )

    def sample(self, at_most: int, seed: int) -> "Requests":
        """A random part of the requests, for quick looks during training."""
        if len(self.histories) <= at_most:
            return self
        return self.take(
            np.random.default_rng(seed).choice(len(self.histories), at_most, replace=False)
        )

    def take(self, chosen: Rows) -> "Requests":
        """These requests, in this order."""
        return Requests(
            [self.histories[i] for i in chosen],
            [self.relevant[i] for i in chosen],
            None if self.users is None else self.users[chosen],
            None if self.at is None else self.at[chosen],
            self.masked,
            None if self.signals is None else [self.signals[i] for i in chosen],
        )

    def parts(self, items: int) -> Iterator["Requests"]:
        """In turn, as many as have scores over so many `items` that fit in memory."""
        size = max(1, _CELLS // items)
        for start in range(0, len(self.histories), size):
            yield self.take(np.arange(start, min(start + size, len(self.histories))))

    def forbidden(self) -> list[Rows]:
        """What may not be answered, per request."""
        return self.histories if self.masked else [np.empty(0, np.int64)] * len(self.histories)

    def ndcg_at_10(self, scores: Scores) -> float:
        """Mean NDCG@10 of these scores `(requests, items)`."""
        ranked, _ = top_k(scores, self.forbidden(), 10)
        return float(ndcg(hits(ranked, self.relevant), self.counts(), 10).mean())

    def judge(self, scorer: Scorer) -> float:
        """Mean NDCG@10 of a scorer."""
        return self.ndcg_at_10(scorer.score(self.histories))

    def lengths(self) -> Rows:
        """How long each history is."""
        return np.array([len(history) for history in self.histories], np.int64)

    def counts(self) -> Rows:
        """How many items are relevant, per request."""
        return np.array([len(rows) for rows in self.relevant], np.int64)


def _signals(
    table: pl.DataFrame, catalogue: Catalogue, at: NDArray[np.float64]
) -> Iterator[Signals]:
    """Of each history's items that the catalogue has."""
    known = pl.element().is_in(catalogue.items[c.ITEM].implode())
    met = table.select(pl.col(HISTORY).list.eval(known))[HISTORY]
    for times, events, there, moment in zip(table[TIMES], table[EVENTS], met, at, strict=True):
        done = event_numbers(events.filter(there))
        yield signals(seconds(times.filter(there)), moment, done)


def hits(ranked: Ranked, relevant: Sequence[Rows]) -> Hits:
    """`(requests, depth)`: whether the item at each rank is relevant."""
    widest = max((len(rows) for rows in relevant), default=0)
    padded = np.full((len(relevant), widest), _NO_ROW, np.int64)
    for place, rows in enumerate(relevant):
        padded[place, : len(rows)] = rows
    found: Hits = (ranked[:, :, None] == padded[:, None, :]).any(2)
    return found
