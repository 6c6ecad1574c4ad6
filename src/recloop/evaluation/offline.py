"""Requests as arrays, and how well ranked lists answer them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.split import HISTORY
from recloop.evaluation.metrics import Hits, ndcg
from recloop.models.ranking import Ranked, top_k
from recloop.models.scorer import Scores

# Stands where there is no relevant item; an empty rank is another number.
_NO_ROW = -2


@dataclass(frozen=True)
class Requests:
    """Histories and relevant items of each request, as row numbers of the catalogue."""

    histories: list[Rows]
    relevant: list[Rows]

    @classmethod
    def encode(cls, table: pl.DataFrame, catalogue: Catalogue) -> "Requests":
        """From the table that `split.requests` makes."""
        return cls(
            [catalogue.rows(items) for items in table[HISTORY]],
            [catalogue.rows(items) for items in table[c.RELEVANT]],
        )

    def sample(self, at_most: int, seed: int) -> "Requests":
        """A random part of the requests, for quick looks during training."""
        if len(self.histories) <= at_most:
            return self
        chosen = np.random.default_rng(seed).choice(len(self.histories), at_most, replace=False)
        return Requests([self.histories[i] for i in chosen], [self.relevant[i] for i in chosen])

    def ndcg_at_10(self, scores: Scores) -> float:
        """Mean NDCG@10 of these scores `(requests, items)`, histories masked."""
        ranked, _ = top_k(scores, self.histories, 10)
        return float(ndcg(hits(ranked, self.relevant), self.counts(), 10).mean())

    def counts(self) -> Rows:
        """How many items are relevant, per request."""
        return np.array([len(rows) for rows in self.relevant], np.int64)


def hits(ranked: Ranked, relevant: Sequence[Rows]) -> Hits:
    """`(requests, depth)`: whether the item at each rank is relevant."""
    widest = max((len(rows) for rows in relevant), default=0)
    padded = np.full((len(relevant), widest), _NO_ROW, np.int64)
    for place, rows in enumerate(relevant):
        padded[place, : len(rows)] = rows
    found: Hits = (ranked[:, :, None] == padded[:, None, :]).any(2)
    return found
