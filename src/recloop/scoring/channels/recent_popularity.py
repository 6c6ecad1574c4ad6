"""Recent popularity: exponentially decayed counts of the interactions before a request."""

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Rows
from recloop.scoring.scorer import Channel, Scores, ScoringRequests

_BUCKETS = 100
# Largest number of entries (buckets × items) of the table: 400 MB.
_MAX_ENTRIES = 100_000_000


class RecentPopularity:
    """Scores each item by its exponentially decayed count at the time of a request.

    Counts are kept at the ends of time buckets with equal numbers of interactions. A request reads
    the last bucket that ended before it, so no later interaction leaks into its scores.

    Args:
        items: Item row of each interaction, `(interactions,)`.
        times: Time of each interaction in seconds, `(interactions,)`; NaN (unknown) is left out.
        catalogue: Number of items.
        half_life: Time in seconds after which an interaction counts half.
    """

    def __init__(
        self, items: Rows, times: NDArray[np.float64], catalogue: int, half_life: float
    ) -> None:
        dated = ~np.isnan(times)
        order = np.argsort(times[dated], kind="stable")
        items, times = items[dated][order], times[dated][order]
        buckets = max(1, min(_BUCKETS, _MAX_ENTRIES // catalogue))
        self._ends = np.unique(np.quantile(times, np.linspace(0, 1, buckets + 1)[1:]))
        # Row 0 is the time before the first bucket ended: nothing is counted yet.
        self._counts = np.zeros((len(self._ends) + 1, catalogue), np.float32)
        previous_end, start = times[0], 0
        for bucket, end in enumerate(self._ends):
            stop = int(np.searchsorted(times, end, side="right"))
            added = 0.5 ** ((end - times[start:stop]) / half_life)
            decayed = self._counts[bucket] * 0.5 ** ((end - previous_end) / half_life)
            self._counts[bucket + 1] = decayed + np.bincount(items[start:stop], added, catalogue)
            previous_end, start = end, stop

    def latest_counts(self) -> NDArray[np.float32]:
        """Return the decayed counts after the last interaction, `(items,)`."""
        counts: NDArray[np.float32] = self._counts[-1]
        return counts

    def score(self, request_times: NDArray[np.float64]) -> Scores:
        """Return the logarithm of 1 plus the counts, `(requests, items)`.

        Args:
            request_times: Times in seconds, `(requests,)`; NaN (unknown) reads the latest counts.
        """
        times = np.where(np.isnan(request_times), np.inf, request_times)
        buckets = np.searchsorted(self._ends, times, side="right")
        scores: Scores = np.log1p(self._counts[buckets])
        return scores


def at_request_times(popularity: RecentPopularity) -> Channel:
    """Return a channel that reads the counts at the time of each request.

    Its scores are `(requests, candidates)`.
    """

    def score(requests: ScoringRequests) -> Scores:
        times = requests.request_times
        unknown = np.full(len(requests.histories), np.nan)
        return popularity.score(unknown if times is None else times)[:, requests.candidates.rows]

    return score
