"""Items that a sequence model covers, as a catalogue of their own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.data.interaction_log import InteractionLog
from recloop.data.user_sequences import UserSequence
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.scorer import signals_or_unknown


@dataclass(frozen=True)
class ItemSubset:
    """Some items as a catalogue of their own.

    Attributes:
        rows: Their rows in the whole catalogue, ascending, `(items of the subset,)`.
        positions: Position in the subset of each item of the catalogue, -1 outside, `(items,)`.
    """

    rows: Rows
    positions: Rows

    @classmethod
    def most_popular(cls, log: InteractionLog, count: int) -> "ItemSubset":
        """Return the items with the most interactions, at most `count`."""
        rows = np.sort(np.argsort(-log.counts(), kind="stable")[:count])
        positions = np.full(log.catalogue, -1, np.int64)
        positions[rows] = np.arange(len(rows))
        return cls(rows, positions)

    def sequences(self, log: InteractionLog) -> list[UserSequence]:
        """Return users' steps with these items, for users with at least two."""
        found = log.sequences()
        if len(self.rows) == len(self.positions):
            return found
        return [sequence for sequence in map(self._inside, found) if len(sequence) > 1]

    def requests(self, requests: Requests) -> Requests:
        """Return the requests with a relevant item among these."""
        if len(self.rows) == len(self.positions):
            return requests
        relevant = [self._kept(rows) for rows in requests.relevant]
        chosen = np.flatnonzero([len(rows) > 0 for rows in relevant])
        kept = requests.take(chosen)
        steps = zip(kept.histories, signals_or_unknown(kept), strict=True)
        return Requests(
            [self._kept(history) for history in kept.histories],
            [relevant[row] for row in chosen],
            masked=requests.masked,
            signals=[signals[self.positions[history] >= 0] for history, signals in steps],
        )

    def _inside(self, sequence: UserSequence) -> UserSequence:
        kept = sequence.select(self.positions[sequence.rows] >= 0)
        return kept.with_rows(self.positions[kept.rows])

    def _kept(self, rows: Rows) -> Rows:
        positions = self.positions[rows]
        return positions[positions >= 0]


def spread(values: NDArray[np.float32], rows: Rows, items: int) -> NDArray[np.float32]:
    """Return values `(rows, width)` spread over all items, `(items, width)`, zero elsewhere."""
    if len(rows) == items:
        return values
    every = np.zeros((items, values.shape[1]), np.float32)
    every[rows] = values
    return every
