"""Every user's interactions in a row, and the requests that a protocol asks about them.

Histories and trails are views into flat arrays, so that tens of millions fit in memory.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows
from recloop.data.trail import Signals, Trail, flat_signals
from recloop.evaluation.offline import Requests
from recloop.trials.folder import ITEM, PART, USER, WEIGHT, DataSet

Protocol = Literal["next-item", "temporal", "ctr"]

TRAIN_PART, VALID_PART, TEST_PART = 0, 1, 2


@dataclass(frozen=True)
class Timeline:
    """Parallel arrays, sorted by user and then by part, time and position.

    `starts` `(users + 1,)` are the places where each user's rows begin. `times` is NaN where unknown;
    `signals` follow from the times. `weights` say how much a row counts.
    """

    items: Rows
    times: NDArray[np.float64]
    signals: Signals
    weights: NDArray[np.float32]
    parts: NDArray[np.int8]
    starts: Rows
    ordered: bool
    catalogue: int

    @classmethod
    def of(cls, data: DataSet, *, repeats: bool) -> "Timeline":
        """Of a data set's positive rows; without `repeats` only a user's first row of an item."""
        rows = data.positive()
        if not repeats:
            rows = rows.unique([USER, ITEM], keep="first", maintain_order=True)
        rows = rows.sort(USER, maintain_order=True)
        counts = np.bincount(rows[USER].to_numpy(), minlength=len(data.users))
        times = rows[c.TIME].cast(pl.Float64).fill_null(np.nan).to_numpy()
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(
            rows[ITEM].to_numpy().astype(np.int64),
            times,
            flat_signals(times, starts),
            rows[WEIGHT].to_numpy().astype(np.float32),
            rows[PART].to_numpy(),
            starts,
            data.ordered,
            data.items.height,
        )

    def until(self, part: int) -> "Timeline":
        """Only the rows before this part."""
        kept = self.parts < part
        before = np.concatenate([[0], np.cumsum(kept)])
        return Timeline(
            self.items[kept],
            self.times[kept],
            self.signals[kept],
            self.weights[kept],
            self.parts[kept],
            before[self.starts],
            self.ordered,
            self.catalogue,
        )

    def known(self) -> NDArray[np.bool_]:
        """`(items,)`: which of them occur."""
        return np.bincount(self.items, minlength=self.catalogue) > 0

    def users(self) -> Rows:
        """The user of each row."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def trails(self) -> list[Trail]:
        """Each user's steps, for users with at least two."""
        unrated = np.full(int(np.diff(self.starts).max(initial=0)), np.nan, np.float32)
        return [
            Trail(
                self.items[start:end],
                self.signals[start:end],
                unrated[: end - start],
                self.weights[start:end],
            )
            for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)
            if end - start > 1
        ]

    def requests(self, part: int, protocol: Protocol, *, repeats: bool) -> Requests:
        """What is asked about the rows of `part`: history before, relevant items after.

        next-item: each row is a request of its own; temporal: the rows of a user and moment are one.
        Rows without an order are one request of their user.
        """
        asked = np.flatnonzero(self.parts == part)
        users = self.users()[asked]
        opens = np.flatnonzero(self._opens(asked, users, protocol))
        first, users = asked[opens], users[opens]
        sizes = np.diff(np.append(opens, len(asked)))
        return Requests(
            histories=[self.items[b:f] for b, f in zip(self.starts[users], first, strict=True)],
            # The last step before the request is told how long ago it was: that is when this is asked.
            signals=[self.signals[b:f] for b, f in zip(self.starts[users], first, strict=True)],
            relevant=[np.unique(self.items[f : f + n]) for f, n in zip(first, sizes, strict=True)],
            users=users,
            at=self.times[first],
            masked=not repeats,
        )

    def _opens(self, asked: Rows, users: Rows, protocol: Protocol) -> NDArray[np.bool_]:
        """Which of the asked rows begin a request of their own; a user's are side by side."""
        if self.ordered and protocol == "next-item":
            return np.ones(len(asked), bool)
        another = _differs(users)
        return another | _differs(self.times[asked]) if self.ordered else another


def _differs(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Whether each value is another than the one before it, as the first and NaN always are."""
    differs = np.ones(len(values), bool)
    differs[1:] = values[1:] != values[:-1]
    return differs


def repeat_share(data: DataSet) -> float:
    """Share of the validation rows whose item their user has met in training: shops high, films 0."""
    keys = [USER, ITEM]
    rows = data.positive()
    train = rows.filter(pl.col(PART) == TRAIN_PART).select(keys).unique()
    valid = rows.filter(pl.col(PART) == VALID_PART)
    return valid.join(train, on=keys, how="semi").height / max(valid.height, 1)
