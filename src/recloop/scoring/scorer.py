"""Interface of all scorers: histories in, one score for each candidate out.

The functions that several scorers share are here as well: recency weights, dot products with item
vectors and standardisation.
"""

import math
from collections.abc import Callable, Hashable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recloop.data.user_sequences import Signals, unknown_signals
from recloop.scoring.candidate_set import ALL_ITEMS, Candidates

History = NDArray[np.int64]
Scores = NDArray[np.float32]
# Values that were computed from the histories of a batch, by the function that computed them.
Memo = MutableMapping[Hashable, Any]

# A standard deviation below this is rounding error.
_MIN_DEVIATION = 1e-6
# Half of the relative precision of float32: a smaller term does not change a sum of about 1.
_ROUNDING = 2.0**-24
# Numbers of the item vectors that are converted to float32 at once, so that they stay in the cache.
_CHUNK = 1 << 17
# float16 to float32: additional bits of the fraction, bits that are kept, 2 to the power of the
# difference of the exponents' biases.
_SHIFT, _KEPT_BITS, _BIAS_FACTOR = 13, np.int32(-0x70002000), np.float32(2.0**112)


class Scorer(Protocol):
    """Scores items by histories only. All but popularity score 0 for an empty history."""

    def score(self, histories: Sequence[History], candidates: Candidates = ALL_ITEMS) -> Scores:
        """Return scores `(requests, candidates)`, float32; higher is better.

        Args:
            histories: Item rows of each request's history, oldest first.
            candidates: The items to score.
        """
        ...


class ScoringRequests(Protocol):
    """A batch of requests, as scorers and candidate generators read it.

    Attributes:
        histories: Item rows of each request's history, oldest first.
        signals: Signals of the steps of each history, `(steps, SIGNAL_WIDTH)` each; None if
            unknown.
        request_times: Times of the requests in seconds since 1970, `(requests,)`; None if unknown.
        candidates: The items to score.
        memo: Values computed from the histories so far (see `memoised_per_request`).
    """

    @property
    def histories(self) -> Sequence[History]:
        """Item rows of each history, `(steps,)` each."""

    @property
    def signals(self) -> Sequence[Signals] | None:
        """Signals of each history, `(steps, SIGNAL_WIDTH)` each."""

    @property
    def request_times(self) -> NDArray[np.float64] | None:
        """Times of the requests in seconds since 1970, `(requests,)`."""

    @property
    def candidates(self) -> Candidates:
        """Items to score."""

    @property
    def memo(self) -> Memo:
        """Values computed so far."""


@dataclass(frozen=True)
class RequestBatch:
    """Simplest form of `ScoringRequests`."""

    histories: Sequence[History]
    signals: Sequence[Signals] | None = None
    request_times: NDArray[np.float64] | None = None
    candidates: Candidates = ALL_ITEMS
    memo: Memo = field(default_factory=dict, compare=False, repr=False)

    def with_candidates(self, candidates: Candidates) -> "RequestBatch":
        """Return the same requests over other items, with the same memo."""
        return RequestBatch(self.histories, self.signals, self.request_times, candidates, self.memo)


Channel = Callable[[ScoringRequests], Scores]


def signals_or_unknown(requests: ScoringRequests) -> Sequence[Signals]:
    """Return the signals of each request, `(steps, SIGNAL_WIDTH)`; zeros for unknown ones."""
    return requests.signals or [unknown_signals(len(history)) for history in requests.histories]


def history_channel(scorer: Scorer) -> Channel:
    """Return a channel that reads only the histories; its scores are `(requests, candidates)`."""
    return lambda requests: scorer.score(requests.histories, requests.candidates)


def last_occurrences(rows: History) -> History:
    """Return each item of a history `(steps,)` once, in the order of its last occurrences.

    >>> last_occurrences(np.array([7, 3, 7])).tolist()
    [3, 7]
    """
    positions = last_occurrence_positions(rows)
    return rows if len(positions) == len(rows) else rows[positions]


def last_occurrence_positions(rows: History) -> History:
    """Return the positions of the last occurrence of each item, ascending, `(distinct items,)`."""
    # Histories are short: building a set is faster than sorting in NumPy.
    items = rows.tolist()
    if len(set(items)) == len(items):
        return np.arange(len(items))
    last = {row: position for position, row in enumerate(items)}
    return np.sort(np.fromiter(last.values(), np.int64, len(last)))


def recency_weights(length: int, decay: float) -> NDArray[np.float32]:
    """Return weights `(length,)`, oldest first: 1 for the newest step, `decay` for the one before.

    >>> recency_weights(3, 0.5).tolist()
    [0.25, 0.5, 1.0]
    """
    weights: NDArray[np.float32] = decay ** np.arange(length - 1, -1, -1, dtype=np.float32)
    return weights


def decayed_history(rows: History, decay: float) -> tuple[History, NDArray[np.float32]]:
    """Weight the items of a history by recency.

    Args:
        rows: Item rows, oldest first, `(length,)`.
        decay: Factor by which an item counts less than the next newer one; 1 is no decay.

    Returns:
        The distinct items in the order of their last occurrences, and their weights. With a decay
        below 1, items are left out whose weight float32 would round off.
    """
    distinct = last_occurrences(rows)
    if 0 < decay < 1:
        distinct = distinct[-math.ceil(math.log(_ROUNDING) / math.log(decay)) :]
    return distinct, recency_weights(len(distinct), decay)


def dot_products(users: Scores, items: NDArray[np.number], candidates: Candidates) -> Scores:
    """Return the dot products of users with candidates, `(requests, candidates)`, float32.

    Args:
        users: User vectors, `(requests, dim)`.
        items: Vectors of all items, `(items, dim)`; float16 is converted in parts.
        candidates: The items to score.
    """
    if isinstance(candidates.rows, slice):
        return np.asarray(users @ items[candidates.rows].T, np.float32)
    size, rows = max(_CHUNK // max(items.shape[1], 1), 1), candidates.rows
    chunks = (rows[start : start + size] for start in range(0, len(rows), size))
    products = [users @ to_float32(items.take(chunk, axis=0)).T for chunk in chunks]
    return np.concatenate([np.empty((len(users), 0), np.float32), *products], axis=1)


def to_float32(values: NDArray[np.number]) -> Scores:
    """Return finite numbers as float32 in the same shape; a float32 array is returned as it is.

    NumPy converts float16 number by number. Shifting the bits and correcting the bias of the
    exponent by a multiplication works on whole arrays.

    Reference:
        Giesen 2012, "Half to float done quick".
    """
    if values.dtype != np.float16:
        return values.astype(np.float32, copy=False)
    bits = values.view(np.int16).astype(np.int32)
    bits <<= _SHIFT
    bits &= _KEPT_BITS
    single: Scores = bits.view(np.float32)
    single *= _BIAS_FACTOR
    return single


def standardise(scores: Scores, sample_weight: NDArray[np.generic] | None = None) -> Scores:
    """Scale the scores of each request to mean 0 and variance 1.

    Args:
        scores: Scores, `(requests, items)`.
        sample_weight: How often an item counts in mean and variance, as booleans or numbers,
            `(items,)`; by default all count once. Items that do not count get 0.

    Returns:
        Scores `(requests, items)`; zeros for a request that scores all items alike.

    >>> standardise(np.array([[1, 3], [5, 5]], np.float32)).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    if sample_weight is None or (sample_weight.dtype == np.bool_ and sample_weight.all()):
        centred = scores - scores.mean(1, keepdims=True)
        deviation = centred.std(1, keepdims=True)
    else:
        weights = sample_weight.astype(np.float32)
        mean = scores @ weights / _total(sample_weight)
        centred = (scores - mean[:, None]) * (weights > 0)
        deviation = standard_deviation(centred, sample_weight)
    scaled: Scores = np.divide(
        centred, deviation, out=np.zeros_like(centred), where=deviation > _MIN_DEVIATION
    )
    return scaled


def standard_deviation(scores: Scores, sample_weight: NDArray[np.generic]) -> Scores:
    """Return the weighted standard deviation of each request's scores, `(requests, 1)`.

    It is exact to float32 where the mean is near 0; centre the scores before where it is not.

    Args:
        scores: Scores, `(requests, items)`.
        sample_weight: How often each item counts, `(items,)`.
    """
    weights, total = sample_weight.astype(np.float32), _total(sample_weight)
    mean = scores @ weights / total
    squares = np.square(scores) @ weights / total
    deviation: Scores = np.sqrt(np.maximum(squares - mean**2, 0)).astype(np.float32)[:, None]
    return deviation


def _total(sample_weight: NDArray[np.generic]) -> float:
    return max(float(sample_weight.sum(dtype=np.float64)), 1.0)
