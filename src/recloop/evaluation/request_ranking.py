"""Ranked lists for evaluation requests, from the `Recommender` that also serves HTTP."""

from collections.abc import Iterator

import polars as pl

from recloop import columns as c
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import epoch_seconds
from recloop.evaluation.report import DEPTH, to_predictions
from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request

# Limits of one batch: requests, and scores per channel.
_BATCH_REQUESTS, _BATCH_SCORES = 256, 1 << 23


def rank_requests(recommender: Recommender, request_frame: pl.DataFrame) -> pl.DataFrame:
    """Return the lists of a packaged model for evaluation requests.

    Only the history and the time of a request are used, not the histories packaged with the model.

    Args:
        recommender: The packaged model.
        request_frame: Requests, one per row; columns as in `Requests.to_frame`.

    Returns:
        One row per request, in the same order; columns as in `report.to_predictions`.
    """
    size = min(_BATCH_REQUESTS, max(1, _BATCH_SCORES // len(recommender.catalogue)))
    batches = [
        _rank_batch(recommender, request_frame[start : start + size])
        for start in range(0, request_frame.height, size)
    ]
    return pl.concat(batches)


def _rank_batch(recommender: Recommender, request_frame: pl.DataFrame) -> pl.DataFrame:
    empty = UserHistory.empty()
    batch = [
        Request(
            empty.updated_with(earlier, recommender.catalogue), k=DEPTH, offline_seconds=seconds
        )
        for earlier, seconds in _earlier_events(request_frame)
    ]
    ranked, scores = recommender.rank(batch)
    return to_predictions(ranked, scores, recommender.catalogue)


def _earlier_events(request_frame: pl.DataFrame) -> Iterator[tuple[list[HistoryEvent], float]]:
    """Yield the events before each request, and its time in epoch seconds (NaN if unknown)."""
    columns = (request_frame[name] for name in (HISTORY, EVENTS, TIMES))
    for items, events, times, time in zip(
        *columns, epoch_seconds(request_frame[c.TIME]), strict=True
    ):
        yield list(zip(items, events, epoch_seconds(times), strict=True)), float(time)
