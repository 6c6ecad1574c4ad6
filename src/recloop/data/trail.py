"""What somebody did, in order: the items, and of each step what it was and how much time passed.

A model is told these signals as small whole numbers; 0 is always "not known", and means nothing to it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows

Signals = NDArray[np.int8]
Seconds = NDArray[np.float64]

# A step's signals: which event, the time since the step before, the time until the next one.
EVENT, SINCE, UNTIL = 0, 1, 2
WIDTH = 3

# Packaged models know events by these numbers: new kinds come last.
EVENT_NUMBERS = {event.value: number for number, event in enumerate(c.Event, start=1)}
# Seconds that part one class of gaps from the next: less than one second is the first.
_GAPS = np.array([1, 30, 120, 600, 3_600, 6 * 3_600, *(86_400 * np.array([1, 3, 7, 30, 180]))])
_WEIGHT = "weight"
CLASSES = (len(EVENT_NUMBERS) + 1, len(_GAPS) + 2, len(_GAPS) + 2)


@dataclass(frozen=True, slots=True)
class Trail:
    """A person's steps, oldest first; all arrays `(steps,)`, `signals` `(steps, WIDTH)`.

    `values` are ratings, NaN where there is none; `weights` say how much a step counts in training.
    """

    rows: Rows
    signals: Signals
    values: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Rows) -> "Trail":
        """Steps of which nothing is known but the item."""
        values = np.full(len(rows), np.nan, np.float32)
        return cls(rows, no_signals(len(rows)), values, np.ones(len(rows), np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, chosen: slice | NDArray[np.generic]) -> "Trail":
        """Some of the steps; their signals stay those of the whole."""
        return Trail(
            self.rows[chosen], self.signals[chosen], self.values[chosen], self.weights[chosen]
        )

    def with_rows(self, rows: Rows) -> "Trail":
        """The same steps with other items."""
        return replace(self, rows=rows)

    def reordered(self, order: Rows) -> "Trail":
        """What was done in another order, at the same times."""
        moved = self.part(order)
        told = self.signals.copy()
        told[:, EVENT] = moved.signals[:, EVENT]
        return replace(moved, signals=told)


def trails(sequences: Iterable[Rows]) -> list[Trail]:
    """Of each of them, nothing is known but the items."""
    return [Trail.of(rows) for rows in sequences]


def walked(
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    weights: Mapping[c.Event, float] | None = None,
    *,
    repeats: bool = False,
) -> list[Trail]:
    """Each user's positive events in order of time, for users with at least two.

    Without `repeats`, an item counts once, at its first place, as much as the weightiest of what was done
    with it. `weights`: of events, 1 where not told.
    """
    counted = dict.fromkeys(map(str, c.Event), 1.0)
    counted |= {event.value: weight for event, weight in (weights or {}).items()}
    weight = pl.col(c.EVENT).replace_strict(counted, return_dtype=pl.Float32).alias(_WEIGHT)
    rating = pl.when(pl.col(c.EVENT) == c.Event.RATING).then(c.VALUE).cast(pl.Float32)
    known = pl.col(c.ITEM).is_in(catalogue.items[c.ITEM].implode())
    positive = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)) & known)
    ordered = positive.sort(c.TIME, maintain_order=True).with_columns(weight, rating.alias(c.VALUE))
    if not repeats:
        ordered = ordered.with_columns(pl.col(_WEIGHT).max().over(c.USER, c.ITEM)).unique(
            [c.USER, c.ITEM], keep="first", maintain_order=True
        )
    columns = [c.ITEM, c.TIME, c.EVENT, c.VALUE, _WEIGHT]
    people = ordered.group_by(c.USER, maintain_order=True).agg(columns)
    return [
        Trail(
            catalogue.rows(items),
            signals(seconds(times), np.nan, event_numbers(events)),
            values.fill_null(np.nan).to_numpy(),
            worth.to_numpy(),
        )
        for items, times, events, values, worth in zip(*people.select(columns), strict=True)
        if len(items) > 1
    ]


def seconds(times: pl.Series) -> Seconds:
    """Moments since 1970."""
    return times.dt.epoch("us").to_numpy() / 1e6


def no_signals(steps: int) -> Signals:
    """Nothing is known of any step."""
    return np.zeros((steps, WIDTH), np.int8)


def signals(times: Seconds, until: float, events: NDArray[np.int8] | None = None) -> Signals:
    """`(steps, WIDTH)` from the moments of the steps, oldest first, in seconds; NaN is unknown.

    `until` is the moment of what comes next, which is the request's where that is what comes next.
    """
    found = no_signals(len(times))
    if len(times):
        gaps = np.diff(times, prepend=np.nan, append=until)
        found[:, SINCE], found[:, UNTIL] = _classes(gaps[:-1]), _classes(gaps[1:])
        if events is not None:
            found[:, EVENT] = events
    return found


def flat_signals(times: Seconds, starts: Rows) -> Signals:
    """As `signals`, of many people at once: `starts` are the places where each begins, and the end."""
    gaps = np.diff(times, prepend=np.nan)
    gaps[starts[:-1][starts[:-1] < len(times)]] = np.nan
    found = no_signals(len(times))
    found[:, SINCE] = _classes(gaps)
    found[:-1, UNTIL] = found[1:, SINCE]
    return found


def padded(
    histories: Sequence[Rows], told: Sequence[Signals], length: int
) -> tuple[Rows, NDArray[np.int64]]:
    """Items `(people, length)` and signals `(people, length, WIDTH)` of the last steps.

    Filled up with 0 at the end.
    """
    items = np.zeros((len(histories), length), np.int64)
    known = np.zeros((len(histories), length, WIDTH), np.int64)
    for row, (history, steps) in enumerate(zip(histories, told, strict=True)):
        recent = history[-length:]
        items[row, : len(recent)] = recent
        known[row, : len(recent)] = steps[-length:]
    return items, known


def event_numbers(events: Sequence[str]) -> NDArray[np.int8]:
    """What each event is to a model; 0 for one that is not known."""
    return np.array([EVENT_NUMBERS.get(event, 0) for event in events], np.int8)


def _classes(gaps: Seconds) -> NDArray[np.int8]:
    """Of gaps in seconds; a negative one, from clocks that differ or what came late, says nothing."""
    classes = np.searchsorted(_GAPS, gaps, side="right") + 1
    return np.where(gaps >= 0, classes, 0).astype(np.int8)
