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
_NO_ROW = -2
# Scores of one batch per channel: 32 MB.
_CELLS = 1 << 23


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
    def about(cls, log: InteractionLog, part: int, *, moments: bool, repeats: bool) -> "Requests":
        """Return the requests whose relevant items are the rows of one part of the split.

        The history of a request holds all earlier interactions of the user, in any part: as in
        service, the model is fixed and the user's state is updated.

        Args:
            log: All interactions; later parts may be included.
            part: Number of the part whose rows are relevant.
            moments: Whether rows of one user and time are one request; otherwise each row is one.
                Without an order, all rows of a user are one request.
            repeats: Whether items of the history may be answers.
        """
        asked = np.flatnonzero(log.parts == part)
        users = log.user_rows()[asked]
        opens = np.flatnonzero(_opens(log, asked, users, moments=moments))
        first, users = asked[opens], users[opens]
        sizes = np.diff(np.append(opens, len(asked)))
        spans = [slice(b, f) for b, f in zip(log.starts[users], first, strict=True)]
        return cls(
            histories=[log.items[span] for span in spans],
            relevant=[np.unique(log.items[f : f + n]) for f, n in zip(first, sizes, strict=True)],
            users=users,
            request_times=log.times[first],
            masked=not repeats,
            # The age in the last step's signals is relative to the time of the request.
            signals=[log.signals[span] for span in spans],
            times=[log.times[span] for span in spans],
        )

    def table(self, catalogue: Catalogue, users: pl.Series) -> pl.DataFrame:
        """Return the requests as a table of ids, one row for each.

        Args:
            catalogue: The items, in the order of the row numbers.
            users: Ids of the users, in the order of the user numbers.

        Returns:
            Columns user_id, timestamp (UTC, null if unknown), history (item ids, oldest first),
            times and events of the history, relevant (item ids).
        """
        count = len(self.histories)
        unknown = [np.full(len(history), np.nan) for history in self.histories]
        told = self.signals or [
            np.zeros((len(h), EVENT_SIGNAL + 1), np.int8) for h in self.histories
        ]
        ids, names = pl.Series(catalogue.ids), {number: e for e, number in EVENT_CODES.items()}
        events = pl.Series(_flat([each[:, EVENT_SIGNAL] for each in told], np.int8))
        lengths = self.lengths()
        return pl.DataFrame(
            {
                c.USER: users.gather(self.user_numbers()),
                c.TIME: _moments(
                    np.full(count, np.nan) if self.request_times is None else self.request_times
                ),
                HISTORY: _nested(ids.gather(_flat(self.histories, np.int64)), lengths),
                TIMES: _nested(_moments(_flat(self.times or unknown, np.float64)), lengths),
                EVENTS: _nested(
                    events.replace_strict(names, default=None, return_dtype=pl.String), lengths
                ),
                c.RELEVANT: _nested(ids.gather(_flat(self.relevant, np.int64)), self.counts()),
            }
        )

    @classmethod
    def encode(
        cls, table: pl.DataFrame, catalogue: Catalogue, *, repeats: bool = False
    ) -> "Requests":
        """Return the requests of a table.

        Args:
            table: One row per request; columns as in `table`, of which those of the times and
                events are optional.
            catalogue: The items that get row numbers; other items are dropped.
            repeats: Whether items of the history may be answers.
        """
        at, told = None, None
        if TIMES in table.columns:
            at = epoch_seconds(table[c.TIME])
            told = list(_signals(table, catalogue, at))
        return cls(
            [catalogue.rows(items) for items in table[HISTORY]],
            [catalogue.rows(items) for items in table[c.RELEVANT]],
            users=np.unique(table[c.USER].to_numpy(), return_inverse=True)[1],
            request_times=at,
            masked=not repeats,
            signals=told,
        )

    def sample(self, at_most: int, seed: int) -> "Requests":
        """Return at most this many requests, drawn at random without replacement."""
        if len(self.histories) <= at_most:
            return self
        return self.take(
            np.random.default_rng(seed).choice(len(self.histories), at_most, replace=False)
        )

    def take(self, chosen: Rows) -> "Requests":
        """Return the requests with these numbers, `(selected,)` int64, in this order."""
        return Requests(
            [self.histories[i] for i in chosen],
            [self.relevant[i] for i in chosen],
            None if self.users is None else self.users[chosen],
            None if self.request_times is None else self.request_times[chosen],
            self.masked,
            None if self.signals is None else [self.signals[i] for i in chosen],
            times=None if self.times is None else [self.times[i] for i in chosen],
        )

    def parts(self, items: int) -> Iterator["Requests"]:
        """Yield batches of requests whose scores over this many items fit in memory."""
        size = max(1, _CELLS // items)
        for start in range(0, len(self.histories), size):
            yield self.take(np.arange(start, min(start + size, len(self.histories))))

    def forbidden(self) -> list[Rows]:
        """Return the items of each request that are excluded from its answers."""
        return self.histories if self.masked else [np.empty(0, np.int64)] * len(self.histories)

    def ndcg_at_10(self, scores: Scores) -> float:
        """Return the mean NDCG@10 of scores, `(requests, items)` float32."""
        ranked, _ = top_k(scores, self.forbidden(), 10)
        return float(ndcg(hits(ranked, self.relevant), self.counts(), 10).mean())

    def quality(self, channel: Channel, items: int) -> float:
        """Return the mean NDCG@10 of a channel over a catalogue of this many items."""
        parts = [part.ndcg_at_10(channel(part)) * len(part.histories) for part in self.parts(items)]
        return sum(parts) / len(self.histories)

    def user_numbers(self) -> Rows:
        """Return the user number of each request, `(requests,)`; all different if unknown."""
        return np.arange(len(self.histories)) if self.users is None else self.users

    def lengths(self) -> Rows:
        """Return the length of each history, `(requests,)` int64."""
        return np.array([len(history) for history in self.histories], np.int64)

    def counts(self) -> Rows:
        """Return the number of relevant items of each request, `(requests,)` int64."""
        return np.array([len(rows) for rows in self.relevant], np.int64)


def validation_sample(valid: Requests, items: int, seed: int) -> Requests:
    """Return 200 to 2,000 validation requests, so many that their scores take bounded time."""
    return valid.sample(int(np.clip(_VALID_SCORES / items, 200, 2_000)), seed)


def _opens(log: InteractionLog, asked: Rows, users: Rows, *, moments: bool) -> NDArray[np.bool_]:
    """Return for each of these log rows whether it begins a request; users are contiguous."""
    if log.ordered and not moments:
        return np.ones(len(asked), bool)
    another = _differs(users)
    return another | _differs(log.times[asked]) if log.ordered else another


def _differs(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return whether each value differs from the one before; true for the first and for NaN."""
    differs = np.ones(len(values), bool)
    differs[1:] = values[1:] != values[:-1]
    return differs


def _flat(arrays: Sequence[NDArray[np.generic]], kind: type[np.generic]) -> NDArray[np.generic]:
    """Return the concatenated arrays; without any, an empty array of this type."""
    return np.concatenate([np.empty(0, kind), *arrays])


def _moments(times: NDArray[np.generic]) -> pl.Series:
    """Return epoch seconds as UTC timestamps, null for NaN."""
    microseconds = (pl.Series(times).fill_nan(None) * 1e6).round().cast(pl.Int64)
    return microseconds.cast(TIMESTAMP_TYPE)


def _nested(values: pl.Series, lengths: Rows) -> pl.Series:
    """Return a list column: consecutive values, cut into lists of these lengths."""
    rows = pl.DataFrame({"row": np.arange(len(lengths))})
    flat = pl.DataFrame({"row": np.repeat(np.arange(len(lengths)), lengths), "value": values})
    lists = flat.group_by("row", maintain_order=True).agg("value")
    joined = rows.join(lists, on="row", how="left", maintain_order="left")
    return joined["value"].fill_null(pl.Series([[]], dtype=pl.List(values.dtype)))


def _signals(
    table: pl.DataFrame, catalogue: Catalogue, at: NDArray[np.float64]
) -> Iterator[Signals]:
    """Yield the step signals of each history, for its items that are in the catalogue."""
    known = pl.element().is_in(catalogue.items[c.ITEM].implode())
    met = table.select(pl.col(HISTORY).list.eval(known))[HISTORY]
    for times, events, there, moment in zip(table[TIMES], table[EVENTS], met, at, strict=True):
        done = event_codes(events.filter(there))
        yield step_signals(epoch_seconds(times.filter(there)), moment, done)


def hits(ranked: Ranked, relevant: Sequence[Rows]) -> Hits:
    """Return whether the item at each rank is relevant, `(requests, depth)` bool.

    Args:
        ranked: Catalogue rows, best first, -1 for an empty rank; `(requests, depth)` int64.
        relevant: Relevant catalogue rows of each request.
    """
    widest = max((len(rows) for rows in relevant), default=0)
    padded = np.full((len(relevant), widest), _NO_ROW, np.int64)
    for place, rows in enumerate(relevant):
        padded[place, : len(rows)] = rows
    found: Hits = (ranked[:, :, None] == padded[:, None, :]).any(2)
    return found
