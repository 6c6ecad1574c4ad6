"""Time-ordered splits of a table of interactions.

`temporal`: one global boundary in time, so that all training rows lie before all test rows.
`leave-one-out`: each user's last interaction is the test, the one before it validation.
"""

from dataclasses import dataclass
from typing import Literal, Self

import polars as pl
from pydantic import model_validator

from recloop import columns as c
from recloop.config import ConfigModel, Share
from recloop.data.interaction_log import PART, TEST_PART, TRAIN_PART, VALID_PART

Protocol = Literal["temporal", "leave-one-out"]
HISTORY = "history"
# Time and event of each item of the history.
TIMES, EVENTS = "times", "events"

# Share of repeats among validation rows above which seen items may be recommended again.
_REPEATS_FROM = 0.05
# Positions counted from the end of a user's interactions.
_TEST, _VALID = 1, 2


class SplitConfig(ConfigModel):
    """Settings of the split into training, validation and test."""

    protocol: Protocol = "temporal"
    """`temporal`: the last interactions by time are held out; `leave-one-out`: the last two of
    every user."""
    valid: Share = 0.1
    """Share of the interactions, by time, for validation (`temporal` only)."""
    test: Share = 0.1
    """Share of the interactions, by time, for the test (`temporal` only)."""
    repeats: bool | None = None
    """Whether an item that a user has interacted with may be recommended again. Null: if more than
    one validation row in twenty is of an item that its user already has in training."""

    @model_validator(mode="after")
    def _leaves_training_data(self) -> Self:
        if self.valid + self.test >= 1:
            raise ValueError("the sum of valid and test must be less than 1")
        return self


class SplitError(ValueError):
    """The data is too small or too flat in time for the chosen split."""


@dataclass(frozen=True)
class Split:
    """Three disjoint, time-ordered parts of one table of interactions."""

    train: pl.DataFrame
    valid: pl.DataFrame
    test: pl.DataFrame


def split_interactions(
    interactions: pl.DataFrame, protocol: Protocol, valid: float, test: float
) -> Split:
    """Split interactions into training, validation and test.

    Args:
        interactions: Interactions with the columns user_id and timestamp, in any order.
        protocol: `temporal` or `leave-one-out` (see `SplitConfig`).
        valid: Share of the rows for validation (`temporal` only).
        test: Share of the rows for the test (`temporal` only).

    Raises:
        SplitError: A part would be empty.
    """
    ordered = interactions.sort(c.TIME, maintain_order=True)
    parts = _temporal(ordered, valid, test) if protocol == "temporal" else _leave_one_out(ordered)
    if min(parts.train.height, parts.valid.height, parts.test.height) == 0:
        raise SplitError(f"{interactions.height} interactions are too few for a {protocol} split")
    return parts


def _temporal(ordered: pl.DataFrame, valid: float, test: float) -> Split:
    rows = ordered.height
    times = ordered[c.TIME]
    valid_from = times[int(rows * (1 - valid - test))]
    test_from = times[int(rows * (1 - test))]
    time = pl.col(c.TIME)
    return Split(
        ordered.filter(time < valid_from),
        ordered.filter((time >= valid_from) & (time < test_from)),
        ordered.filter(time >= test_from),
    )


def _leave_one_out(ordered: pl.DataFrame) -> Split:
    from_end = pl.int_range(pl.len(), 0, -1).over(c.USER)
    # Users with fewer than three interactions have no held-out rows: no history would be left.
    held_out = (
        pl.when(pl.len().over(c.USER) > len((_TEST, _VALID))).then(from_end).alias("_from_end")
    )
    numbered = ordered.with_columns(held_out)

    def part(condition: pl.Expr) -> pl.DataFrame:
        return numbered.filter(condition).drop("_from_end")

    position = pl.col("_from_end")
    return Split(
        part(position.is_null() | (position > _VALID)),
        part(position == _VALID),
        part(position == _TEST),
    )


def repeat_share(train: pl.DataFrame, valid: pl.DataFrame) -> float:
    """Return the share of validation rows whose item the user has in training; high for shops.

    Args:
        train: Positive events of training, with the columns user_id and item_id.
        valid: Positive events of validation, with the same columns.
    """
    keys = [c.USER, c.ITEM]
    seen = train.select(keys).unique()
    return valid.join(seen, on=keys, how="semi").height / max(valid.height, 1)


def allows_repeats(train: pl.DataFrame, valid: pl.DataFrame, *, setting: bool | None) -> bool:
    """Return whether seen items may be recommended.

    Args:
        train: Positive events of training, with the columns user_id and item_id.
        valid: Positive events of validation, with the same columns.
        setting: What the settings say; None decides by the share of repeats in the data.
    """
    return repeat_share(train, valid) > _REPEATS_FROM if setting is None else setting


def joined(split: Split) -> pl.DataFrame:
    """Return the three parts as one table with the column `part`, as `InteractionLog` reads it."""
    parts = ((split.train, TRAIN_PART), (split.valid, VALID_PART), (split.test, TEST_PART))
    return pl.concat([table.with_columns(part(number)) for table, number in parts])


def part(number: int) -> pl.Expr:
    """Return the column `part` with one number in every row."""
    return pl.lit(number, pl.Int8).alias(PART)
