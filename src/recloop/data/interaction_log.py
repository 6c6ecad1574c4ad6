"""Interactions as arrays: the positive events of each user in order of time.

Sequences and histories are views into flat arrays, so that tens of millions of rows fit in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows
from recloop.data.user_sequences import (
    EVENT_CODES,
    EVENT_SIGNAL,
    Seconds,
    Signals,
    UserSequence,
    concatenated_signals,
)

# Columns in addition to the contract's: the part of the split as a number, the order within a user
# if there are no times, and the weight of a row in training.
PART, POSITION, WEIGHT = "part", "pos", "weight"
TRAIN_PART, VALID_PART, TEST_PART = 0, 1, 2
_USER, _ITEM = "_user", "_item"


@dataclass(frozen=True)
class InteractionLog:
    """Parallel arrays `(rows,)`, sorted by user and then by part of the split, time and position.

    Attributes:
        items: Rows of the catalogue.
        times: Seconds since 1970, NaN where unknown.
        events: Numbers of the events (see `EVENT_CODES`), 0 where unknown.
        values: Ratings, NaN where there is none.
        weights: How much a row counts in training.
        parts: 0 for train, 1 for valid, 2 for test.
        starts: `(users + 1,)`, where each user's rows begin, and the end.
        users: `(users,)`, the user ids.
        ordered: Whether the rows of a user have an order at all.
        catalogue: Number of items.
    """

    items: Rows
    times: Seconds
    events: NDArray[np.int8]
    values: NDArray[np.float32]
    weights: NDArray[np.float32]
    parts: NDArray[np.int8]
    starts: Rows
    users: pl.Series
    ordered: bool
    catalogue: int

    @classmethod
    def from_frame(
        cls,
        interactions: pl.DataFrame,
        item_ids: pl.Series,
        *,
        repeats: bool,
        event_weights: Mapping[c.Event, float] | None = None,
    ) -> "InteractionLog":
        """Return the positive events with items of the catalogue.

        Args:
            interactions: Columns user_id, item_id, timestamp (null where unknown) and part; where
                they exist event (otherwise a click), value, pos and weight. Rows of one moment keep
                their order.
            item_ids: Ids of the catalogue's items, of the same type as item_id.
            repeats: Without it, only a user's first row of an item is kept; it counts as much as
                the weightiest of that user's rows of the item.
            event_weights: How much an event counts, 1 where it is not named.
        """
        users = interactions.select(c.USER).unique(maintain_order=True).with_row_index(_USER)
        item_rows = pl.DataFrame({c.ITEM: item_ids}).with_row_index(_ITEM)
        has_events = c.EVENT in interactions.columns
        event = pl.col(c.EVENT) if has_events else pl.lit(c.Event.CLICK.value)
        positive = event.is_in(list(c.POSITIVE_EVENTS)) if has_events else pl.lit(value=True)
        rows = (
            interactions.lazy()
            .filter(positive)
            .join(item_rows.lazy(), on=c.ITEM, maintain_order="left")
            .join(users.lazy(), on=c.USER, maintain_order="left")
            .select(
                pl.col(_USER, _ITEM).cast(pl.Int32),
                PART,
                (pl.col(c.TIME).dt.epoch("us") / 1e6).alias(c.TIME),
                _column(interactions, POSITION, pl.Float64, None),
                event.replace_strict(EVENT_CODES, return_dtype=pl.Int8).alias(c.EVENT),
                pl.when(event == c.Event.RATING)
                .then(_column(interactions, c.VALUE, pl.Float32, None))
                .alias(c.VALUE),
                _weight(interactions, event, event_weights or {}),
            )
            .sort(_USER, PART, c.TIME, POSITION, maintain_order=True, nulls_last=False)
            .collect()
        )
        ordered = rows[c.TIME].null_count() + rows[POSITION].null_count() < 2 * rows.height
        if not repeats:
            if rows[WEIGHT].n_unique() > 1:
                rows = rows.with_columns(pl.col(WEIGHT).max().over(_USER, _ITEM))
            rows = rows.unique([_USER, _ITEM], keep="first", maintain_order=True)
        counts = np.bincount(rows[_USER].to_numpy(), minlength=users.height)
        return cls(
            items=rows[_ITEM].to_numpy().astype(np.int64),
            times=rows[c.TIME].fill_null(np.nan).to_numpy(),
            events=rows[c.EVENT].to_numpy(),
            values=rows[c.VALUE].fill_null(np.nan).to_numpy(),
            weights=rows[WEIGHT].to_numpy(),
            parts=rows[PART].to_numpy().astype(np.int8),
            starts=np.concatenate([[0], np.cumsum(counts)]),
            users=users[c.USER],
            ordered=ordered,
            catalogue=len(item_ids),
        )

    def __len__(self) -> int:
        return len(self.items)

    def until(self, part: int) -> "InteractionLog":
        """Return only the rows of the parts before this one."""
        return self._only(self.parts < part)

    def before(self, moment: float) -> "InteractionLog":
        """Return only the rows until a moment in seconds, itself included."""
        return self._only(self.times <= moment)

    def _only(self, kept: NDArray[np.bool_]) -> "InteractionLog":
        before = np.concatenate([[0], np.cumsum(kept)])
        return replace(
            self,
            items=self.items[kept],
            times=self.times[kept],
            events=self.events[kept],
            values=self.values[kept],
            weights=self.weights[kept],
            parts=self.parts[kept],
            starts=before[self.starts],
        )

    @cached_property
    def signals(self) -> Signals:
        """Signals of each row, `(rows, WIDTH)`; the time until the next row crosses parts."""
        found = concatenated_signals(self.times, self.starts)
        found[:, EVENT_SIGNAL] = self.events
        return found

    def counts(self) -> NDArray[np.float32]:
        """Return how many rows each item has, `(items,)`."""
        return np.bincount(self.items, minlength=self.catalogue).astype(np.float32)

    def warm_items(self) -> NDArray[np.bool_]:
        """Return which items occur, `(items,)`."""
        return self.counts() > 0

    def user_rows(self) -> Rows:
        """Return the user number of each row, `(rows,)`."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def end(self) -> float:
        """Return the moment of the last row in seconds, NaN without times."""
        return float(np.nanmax(self.times)) if not np.isnan(self.times).all() else float("nan")

    def sequences(self) -> list[UserSequence]:
        """Return each user's steps, for users with at least two."""
        return [
            UserSequence(
                self.items[start:end],
                self.signals[start:end],
                self.values[start:end],
                self.weights[start:end],
            )
            for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)
            if end - start > 1
        ]


def _column(
    table: pl.DataFrame, name: str, kind: type[pl.DataType], otherwise: float | None
) -> pl.Expr:
    """Return a column as numbers, or `otherwise` where the table does not have it."""
    if name not in table.columns:
        return pl.lit(otherwise, kind).alias(name)
    number = pl.col(name).cast(kind).fill_nan(None)
    return (number if otherwise is None else number.fill_null(otherwise)).alias(name)


def _weight(table: pl.DataFrame, event: pl.Expr, event_weights: Mapping[c.Event, float]) -> pl.Expr:
    own = _column(table, WEIGHT, pl.Float32, 1.0)
    if not event_weights:
        return own
    by_event = dict.fromkeys(map(str, c.Event), 1.0)
    by_event |= {name.value: weight for name, weight in event_weights.items()}
    counted = event.replace_strict(by_event, return_dtype=pl.Float32)
    return (own * counted).alias(WEIGHT)
