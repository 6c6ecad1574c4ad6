"""Evaluation requests as arrays and as a table, and the quality of scores for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.frame_schemas import TIMESTAMP_TYPE
from recloop.data.interaction_log import InteractionLog
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import (
    EVENT_CODES,
    EVENT_SIGNAL,
    Seconds,
    Signals,
    epoch_seconds,
    event_codes,
    step_signals,
)
from recloop.evaluation.metrics import Hits, ndcg
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates
from recloop.scoring.scorer import Channel, Memo, Scores
from recloop.scoring.top_k import Ranked, top_k

# Scores (requests times items) of one validation; with more requests a random sample is taken.
_VALID_SCORES = 2e8
# Pads the relevant items; differs from -1, which marks an empty rank.
_PADDING = -2
# Scores of one batch per channel: 32 MB.
_BATCH_SCORES = 1 << 23


@dataclass(frozen=True)
class Requests:
    """Requests with their relevant items; items are row numbers of the catalogue.

    Attributes:
        histories: Items of each history, oldest first; int64.
        relevant: Relevant items of each request; int64.
        users: User number of each request, `(requests,)` int64.
        request_times: Time of each request in epoch seconds, NaN if unknown; `(requests,)` float64.
        masked: Whether items of the history are excluded from the answers.
        signals: Signals of the steps of each history; `(length, signals)` int8.
        candidates: Items that are scored.
        memo: Cache of the channels for these requests.
        times: Times of the steps of each history in epoch seconds; `(length,)` float64.
    """

    histories: list[Rows]
    relevant: list[Rows]
    users: Rows | None = None
    request_times: NDArray[np.float64] | None = None
    masked: bool = True
    signals: list[Signals] | None = None
    candidates: Candidates = ALL_ITEMS
    memo: Memo = field(default_factory=dict, compare=False, repr=False)
    times: list[Seconds] | None = None

    @classmethod
    def from_log(
        cls, log: InteractionLog, part: int, *, group_by_time: bool, repeats: bool
    ) -> "Requests":
        """Return the requests whose relevant items are the rows of one part of the split.

        The history of a request holds all earlier interactions of the user, in any part: as in
        service, the model is fixed and the user's state is updated.

        Args:
            log: All interactions; later parts may be included.
            part: Number of the part whose rows are relevant.
            group_by_time: Whether rows of one user and time are one request; otherwise each row is
                one. Without an order, all rows of a user are one request.
            repeats: Whether items of the history may be answers.
        """
        rows = np.flatnonzero(log.parts == part)
        users = log.user_rows()[rows]
        request_starts = np.flatnonzero(
            _begins_request(log, rows, users, group_by_time=group_by_time)
        )
        first_rows, users = rows[request_starts], users[request_starts]
        sizes = np.diff(np.append(request_starts, len(rows)))
        spans = [
            slice(begin, end) for begin, end in zip(log.starts[users], first_rows, strict=True)
        ]
        return cls(
            histories=[log.items[span] for span in spans],
            relevant=[
                np.unique(log.items[row : row + size])
                for row, size in zip(first_rows, sizes, strict=True)
            ],
            users=users,
            request_times=log.times[first_rows],
            masked=not repeats,
            # The age in the last step's signals is relative to the time of the request.
            signals=[log.signals[span] for span in spans],
            times=[log.times[span] for span in spans],
        )

    def to_frame(self, catalogue: Catalogue, users: pl.Series) -> pl.DataFrame:
        """Return the requests as a table of ids, one row for each.

        Args:
            catalogue: The items, in the order of the row numbers.
            users: Ids of the users, in the order of the user numbers.

        Returns:
            Columns user_id, timestamp (UTC, null if unknown), history (item ids, oldest first),
            times and events of the history, relevant (item ids).
        """
        request_times = self.request_times
        if request_times is None:
            request_times = np.full(len(self.histories), np.nan)
        unknown_times = [np.full(len(history), np.nan) for history in self.histories]
        signals = self.signals or [
            np.zeros((len(history), EVENT_SIGNAL + 1), np.int8) for history in self.histories
        ]
        ids = pl.Series(catalogue.ids)
        names = {number: event for event, number in EVENT_CODES.items()}
        events = pl.Series(_concatenated([steps[:, EVENT_SIGNAL] for steps in signals], np.int8))
        lengths = self.history_lengths()
        return pl.DataFrame(
            {
                c.USER: users.gather(self.user_numbers()),
                c.TIME: _timestamps(request_times),
                HISTORY: _list_column(ids.gather(_concatenated(self.histories, np.int64)), lengths),
                TIMES: _list_column(
                    _timestamps(_concatenated(self.times or unknown_times, np.float64)), lengths
                ),
                EVENTS: _list_column(
                    events.replace_strict(names, default=None, return_dtype=pl.String), lengths
                ),
                c.RELEVANT: _list_column(
                    ids.gather(_concatenated(self.relevant, np.int64)), self.relevant_counts()
                ),
            }
        )

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, catalogue: Catalogue, *, repeats: bool = False
    ) -> "Requests":
        """Return the requests of a table.

        Args:
            frame: One row per request; columns as in `to_frame`, of which those of the times and
                events are optional.
            catalogue: The items that get row numbers; other items are dropped.
            repeats: Whether items of the history may be answers.
        """
        request_times, signals = None, None
        if TIMES in frame.columns:
            request_times = epoch_seconds(frame[c.TIME])
            signals = list(_signals(frame, catalogue, request_times))
        return cls(
            [catalogue.rows(items) for items in frame[HISTORY]],
            [catalogue.rows(items) for items in frame[c.RELEVANT]],
            users=np.unique(frame[c.USER].to_numpy(), return_inverse=True)[1],
            request_times=request_times,
            masked=not repeats,
            signals=signals,
        )

    def sample(self, size: int, seed: int) -> "Requests":
        """Return at most this many requests, drawn at random without replacement."""
        if len(self.histories) <= size:
            return self
        return self.take(
            np.random.default_rng(seed).choice(len(self.histories), size, replace=False)
        )

    def take(self, indices: Rows) -> "Requests":
        """Return the requests with these numbers, `(selected,)` int64, in this order."""
        return Requests(
            [self.histories[index] for index in indices],
            [self.relevant[index] for index in indices],
            None if self.users is None else self.users[indices],
            None if self.request_times is None else self.request_times[indices],
            self.masked,
            None if self.signals is None else [self.signals[index] for index in indices],
            times=None if self.times is None else [self.times[index] for index in indices],
        )

    def batches(self, items: int) -> Iterator["Requests"]:
        """Yield batches of requests whose scores over this many items fit in memory."""
        size = max(1, _BATCH_SCORES // items)
        for start in range(0, len(self.histories), size):
            yield self.take(np.arange(start, min(start + size, len(self.histories))))

    def excluded(self) -> list[Rows]:
        """Return the items of each request that are excluded from its answers."""
        return self.histories if self.masked else [np.empty(0, np.int64)] * len(self.histories)

    def ndcg_at_10(self, scores: Scores) -> float:
        """Return the mean NDCG@10 of scores, `(requests, items)` float32."""
        ranked, _ = top_k(scores, self.excluded(), 10)
        return float(ndcg(hits(ranked, self.relevant), self.relevant_counts(), 10).mean())

    def mean_ndcg(self, channel: Channel, items: int) -> float:
        """Return the mean NDCG@10 of a channel over a catalogue of this many items."""
        scores = [
            batch.ndcg_at_10(channel(batch)) * len(batch.histories) for batch in self.batches(items)
        ]
        return sum(scores) / len(self.histories)

    def user_numbers(self) -> Rows:
        """Return the user number of each request, `(requests,)`; all different if unknown."""
        return np.arange(len(self.histories)) if self.users is None else self.users

    def history_lengths(self) -> Rows:
        """Return the length of each history, `(requests,)` int64."""
        return np.array([len(history) for history in self.histories], np.int64)

    def relevant_counts(self) -> Rows:
        """Return the number of relevant items of each request, `(requests,)` int64."""
        return np.array([len(rows) for rows in self.relevant], np.int64)


def validation_sample(valid: Requests, items: int, seed: int) -> Requests:
    """Return 200 to 2,000 validation requests, so many that their scores take bounded time."""
    return valid.sample(int(np.clip(_VALID_SCORES / items, 200, 2_000)), seed)


def _begins_request(
    log: InteractionLog, rows: Rows, users: Rows, *, group_by_time: bool
) -> NDArray[np.bool_]:
    """Return for each of these log rows whether it begins a request; users are contiguous."""
    if log.ordered and not group_by_time:
        return np.ones(len(rows), bool)
    new_user = _differs_from_previous(users)
    return new_user | _differs_from_previous(log.times[rows]) if log.ordered else new_user


def _differs_from_previous(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return whether each value differs from the one before; true for the first and for NaN."""
    differs = np.ones(len(values), bool)
    differs[1:] = values[1:] != values[:-1]
    return differs


def _concatenated(
    arrays: Sequence[NDArray[np.generic]], dtype: type[np.generic]
) -> NDArray[np.generic]:
    """Return the concatenated arrays; without any, an empty array of this type."""
    return np.concatenate([np.empty(0, dtype), *arrays])


def _timestamps(times: NDArray[np.generic]) -> pl.Series:
    """Return epoch seconds as UTC timestamps, null for NaN."""
    microseconds = (pl.Series(times).fill_nan(None) * 1e6).round().cast(pl.Int64)
    return microseconds.cast(TIMESTAMP_TYPE)


def _list_column(values: pl.Series, lengths: Rows) -> pl.Series:
    """Return a list column: consecutive values, cut into lists of these lengths."""
    rows = pl.DataFrame({"row": np.arange(len(lengths))})
    flat = pl.DataFrame({"row": np.repeat(np.arange(len(lengths)), lengths), "value": values})
    lists = flat.group_by("row", maintain_order=True).agg("value")
    joined = rows.join(lists, on="row", how="left", maintain_order="left")
    return joined["value"].fill_null(pl.Series([[]], dtype=pl.List(values.dtype)))


def _signals(
    frame: pl.DataFrame, catalogue: Catalogue, request_times: NDArray[np.float64]
) -> Iterator[Signals]:
    """Yield the step signals of each history, for its items that are in the catalogue."""
    in_catalogue = pl.element().is_in(catalogue.items[c.ITEM].implode())
    kept = frame.select(pl.col(HISTORY).list.eval(in_catalogue))[HISTORY]
    for times, events, kept_steps, request_time in zip(
        frame[TIMES], frame[EVENTS], kept, request_times, strict=True
    ):
        codes = event_codes(events.filter(kept_steps))
        yield step_signals(epoch_seconds(times.filter(kept_steps)), request_time, codes)


def hits(ranked: Ranked, relevant: Sequence[Rows]) -> Hits:
    """Return whether the item at each rank is relevant, `(requests, depth)` bool.

    Args:
        ranked: Catalogue rows, best first, -1 for an empty rank; `(requests, depth)` int64.
        relevant: Relevant catalogue rows of each request.
    """
    width = max((len(rows) for rows in relevant), default=0)
    padded = np.full((len(relevant), width), _PADDING, np.int64)
    for row, rows in enumerate(relevant):
        padded[row, : len(rows)] = rows
    found: Hits = (ranked[:, :, None] == padded[:, None, :]).any(2)
    return found
