"""Time-ordered splits, and the evaluation requests they give.

`temporal`: one global boundary in time, so that nothing learned lies after anything tested.
`leave-one-out`: each user's last interaction is the test, the one before it validation.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from recloop import columns as c
from recloop.config import Settings

Protocol = Literal["temporal", "leave-one-out"]
HISTORY = "history"
# Of each item of the history: when it was met, and by which event.
TIMES, EVENTS = "times", "events"

# Places counted from the end of a user's interactions.
_TEST, _VALID = 1, 2


class SplitConfig(Settings):
    """Which protocol, and the shares of validation and test (temporal only).

    `repeats`: whether what somebody has had may be recommended again. Groceries yes, films no.
    """

    protocol: Protocol = "temporal"
    valid: float = 0.1
    test: float = 0.1
    repeats: bool = False


class SplitError(ValueError):
    """The data is too small or too flat in time for the split that was asked for."""


@dataclass(frozen=True)
class Split:
    """Three disjoint, time-ordered parts of one table of interactions."""

    train: pl.DataFrame
    valid: pl.DataFrame
    test: pl.DataFrame


def split_interactions(
    interactions: pl.DataFrame, protocol: Protocol, valid: float, test: float
) -> Split:
    """Split by `protocol`; `valid` and `test` are shares of the rows (temporal only).

    Raises:
        SplitError: a part would be empty.
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
    # Of users with fewer than three interactions nothing is held out: there would be no history.
    place = pl.when(pl.len().over(c.USER) > len((_TEST, _VALID))).then(from_end).alias("_from_end")
    placed = ordered.with_columns(place)

    def part(condition: pl.Expr) -> pl.DataFrame:
        return placed.filter(condition).drop("_from_end")

    position = pl.col("_from_end")
    return Split(
        part(position.is_null() | (position > _VALID)),
        part(position == _VALID),
        part(position == _TEST),
    )


def requests(
    past: pl.DataFrame, future: pl.DataFrame, protocol: Protocol, *, repeats: bool
) -> pl.DataFrame:
    """What a live system would have been asked during `future`.

    Temporal: one request per user and moment; its history is everything that the user did strictly
    before that moment (in `past` and in `future`), its relevant items those of that moment; without
    `repeats`, only those which are new to the user. The model stays frozen; the state moves on, as in
    production.
    Leave-one-out: the whole of the user's past is the history, equal times included.

    Returns:
        user_id, timestamp, history (item ids, oldest first) with times and events, relevant (item ids).
    """
    future = future.with_columns(pl.lit(value=True).alias("_target"))
    past = past.with_columns(pl.lit(value=False).alias("_target"))
    moments = pl.concat([past, future]).sort(c.TIME, maintain_order=True)
    if not repeats:
        moments = moments.filter(pl.struct(c.USER, c.ITEM).is_first_distinct())
    moment = pl.int_range(pl.len()).over(c.USER) if protocol == "leave-one-out" else pl.col(c.TIME)
    moments = moments.with_columns(moment.alias("_moment")).with_columns(
        (pl.col("_moment").rank("min").over(c.USER) - 1).alias("_before")
    )
    targets = moments.filter("_target").group_by(c.USER, "_before", maintain_order=True)
    asked = targets.agg(
        pl.col(c.TIME).first(), pl.col(c.ITEM).unique(maintain_order=True).alias(c.RELEVANT)
    )
    told = {HISTORY: c.ITEM, TIMES: c.TIME, EVENTS: c.EVENT}
    histories = moments.group_by(c.USER).agg(pl.col(col).alias(name) for name, col in told.items())
    return asked.join(histories, on=c.USER, how="left", maintain_order="left").select(
        c.USER, c.TIME, pl.col(*told).list.head("_before"), c.RELEVANT
    )
