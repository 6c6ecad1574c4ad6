"""Labelled interactions as parallel arrays."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Log:
    """Labelled interactions as parallel arrays, `(rows,)` each.

    Attributes:
        users: User numbers.
        items: Item numbers.
        labels: 0 or 1.
        order: Position in time, in any unit; NaN if unknown.
        weights: Sample weights.
    """

    users: Ints
    items: Ints
    labels: Floats
    order: Doubles
    weights: Floats

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Log":
        """Convert a frame.

        Args:
            frame: Columns user, item, label and order (null or negative if unknown), and optionally
                weight.
        """
        weighted = frame if "weight" in frame.columns else frame.with_columns(weight=pl.lit(1.0))
        order = frame["order"].cast(pl.Float64).fill_null(-1.0).to_numpy()
        return cls(
            frame["user"].cast(pl.Int64).to_numpy(),
            frame["item"].cast(pl.Int64).to_numpy(),
            frame["label"].cast(pl.Float32).to_numpy(),
            np.where(order < 0, np.nan, order),
            weighted["weight"].cast(pl.Float32).to_numpy(),
        )

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: Ints | Mask) -> "Log":
        """Return these rows, in this order.

        Args:
            rows: Row numbers, `(taken,)`, or a mask, `(rows,)`.
        """
        return Log(
            self.users[rows],
            self.items[rows],
            self.labels[rows],
            self.order[rows],
            self.weights[rows],
        )

    def sample(self, at_most: int, seed: int = 0) -> Ints:
        """Return the numbers of at most `at_most` rows drawn at random, ascending, `(drawn,)`."""
        if len(self) <= at_most:
            return np.arange(len(self))
        return np.sort(np.random.default_rng(seed).choice(len(self), at_most, replace=False))

    def newest(self, each: int) -> Ints:
        """Return the numbers of each user's newest rows, at most `each`; by user, oldest first.

        The shape is `(newest rows of all users,)`.
        """
        order = np.lexsort((np.nan_to_num(self.order), self.users))
        ends = np.searchsorted(self.users[order], self.users[order], side="right")
        return order[ends - np.arange(len(order)) <= each]
