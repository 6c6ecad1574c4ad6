"""User sequences: the items of a user's steps in order, and signals about each step.

The signals are the kind of event and the time between steps, as small integers; 0 means unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Rows

Signals = NDArray[np.int8]
Seconds = NDArray[np.float64]

# Columns of the signals: kind of event, time since the step before, time until the next one.
EVENT_SIGNAL, GAP_BEFORE, GAP_AFTER = 0, 1, 2
SIGNAL_WIDTH = 3

# Packaged models contain these numbers, so new kinds of events must come last.
EVENT_CODES = {event.value: number for number, event in enumerate(c.Event, start=1)}
# Bounds in seconds between the classes of gaps; a gap below one second is in the first class.
_GAPS = np.array([1, 30, 120, 600, 3_600, 6 * 3_600, *(86_400 * np.array([1, 3, 7, 30, 180]))])
_WEIGHT = "weight"
SIGNAL_CLASSES = (len(EVENT_CODES) + 1, len(_GAPS) + 2, len(_GAPS) + 2)


@dataclass(frozen=True, slots=True)
class UserSequence:
    """Steps of one user, oldest first.

    Attributes:
        rows: Item rows, `(steps,)`, int64.
        signals: Signals, `(steps, SIGNAL_WIDTH)`, int8.
        values: Ratings, `(steps,)`; NaN for a step without one.
        weights: Weight of each step in training, `(steps,)`.
    """

    rows: Rows
    signals: Signals
    values: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def from_rows(cls, rows: Rows) -> "UserSequence":
        """Return a sequence of items `(steps,)` with unknown signals and ratings, weighted by 1."""
        values = np.full(len(rows), np.nan, np.float32)
        return cls(rows, unknown_signals(len(rows)), values, np.ones(len(rows), np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, chosen: slice | NDArray[np.generic]) -> "UserSequence":
        """Return the chosen steps; their signals stay as they were in the whole sequence.

        Args:
            chosen: A slice, positions `(chosen,)` or a mask `(steps,)`.
        """
        return UserSequence(
            self.rows[chosen], self.signals[chosen], self.values[chosen], self.weights[chosen]
        )

    def with_rows(self, rows: Rows) -> "UserSequence":
        """Return the same steps with other items, `(steps,)`."""
        return replace(self, rows=rows)

    def with_order(self, order: Rows) -> "UserSequence":
        """Return the steps in another order; the times between positions stay the same.

        Args:
            order: Each position once, `(steps,)`.
        """
        moved = self.select(order)
        signals = self.signals.copy()
        signals[:, EVENT_SIGNAL] = moved.signals[:, EVENT_SIGNAL]
        return replace(moved, signals=signals)


def sequences_from_rows(sequences: Iterable[Rows]) -> list[UserSequence]:
    """Return a sequence for each array of item rows, `(steps,)`, with unknown signals."""
    return [UserSequence.from_rows(rows) for rows in sequences]


def epoch_seconds(times: pl.Series) -> Seconds:
    """Return times as seconds since 1970, `(times,)`, float64; NaN for null."""
    return times.dt.epoch("us").to_numpy() / 1e6


def unknown_signals(steps: int) -> Signals:
    """Return the signals of steps with unknown events and times: zeros, `(steps, SIGNAL_WIDTH)`."""
    return np.zeros((steps, SIGNAL_WIDTH), np.int8)


def step_signals(times: Seconds, until: float, events: NDArray[np.int8] | None = None) -> Signals:
    """Return the signals of one sequence, `(steps, SIGNAL_WIDTH)`.

    Args:
        times: Times of the steps in seconds, oldest first, `(steps,)`; NaN is unknown.
        until: Time of the next step or of the request, in seconds.
        events: Codes of the events, `(steps,)` (see `event_codes`).

    >>> step_signals(np.array([0.0, 45.0]), until=60.0).tolist()
    [[0, 0, 3], [0, 3, 2]]
    """
    signals = unknown_signals(len(times))
    if len(times):
        gaps = np.diff(times, prepend=np.nan, append=until)
        signals[:, GAP_BEFORE], signals[:, GAP_AFTER] = _gap_class(gaps[:-1]), _gap_class(gaps[1:])
        if events is not None:
            signals[:, EVENT_SIGNAL] = events
    return signals


def concatenated_signals(times: Seconds, starts: Rows) -> Signals:
    """Return the time signals of many sequences at once, `(steps, SIGNAL_WIDTH)`.

    Args:
        times: Times of the steps of all sequences, one sequence after the other, `(steps,)`.
        starts: Start of each sequence, and the end of the last one, `(sequences + 1,)`.
    """
    gaps = np.diff(times, prepend=np.nan)
    gaps[starts[:-1][starts[:-1] < len(times)]] = np.nan
    signals = unknown_signals(len(times))
    signals[:, GAP_BEFORE] = _gap_class(gaps)
    signals[:-1, GAP_AFTER] = signals[1:, GAP_BEFORE]
    return signals


def pad_sequences(
    histories: Sequence[Rows], signals: Sequence[Signals], length: int
) -> tuple[Rows, NDArray[np.int64]]:
    """Return the last steps of each sequence, padded with 0 at the end.

    Args:
        histories: Item rows of each sequence, oldest first.
        signals: Signals of each sequence, `(steps, SIGNAL_WIDTH)`.
        length: Number of steps.

    Returns:
        Items `(sequences, length)` and signals `(sequences, length, SIGNAL_WIDTH)`, int64.
    """
    items = np.zeros((len(histories), length), np.int64)
    padded = np.zeros((len(histories), length, SIGNAL_WIDTH), np.int64)
    for row, (history, steps) in enumerate(zip(histories, signals, strict=True)):
        recent = history[-length:]
        items[row, : len(recent)] = recent
        padded[row, : len(recent)] = steps[-length:]
    return items, padded


def event_codes(events: Sequence[str]) -> NDArray[np.int8]:
    """Return the code of each event for the models, `(events,)`, int8; 0 for an unknown one."""
    return np.array([EVENT_CODES.get(event, 0) for event in events], np.int8)


def _gap_class(gaps: Seconds) -> NDArray[np.int8]:
    """Return the class of gaps `(steps,)` in seconds; 0 if negative (clocks differ) or unknown."""
    classes = np.searchsorted(_GAPS, gaps, side="right") + 1
    return np.where(gaps >= 0, classes, 0).astype(np.int8)
