"""Ranked lists for evaluation requests, from the `Recommender` that also serves HTTP."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import epoch_seconds
from recloop.evaluation.report import DEPTH, to_predictions
from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request

# Limits of one batch: requests, and scores per channel.
_BATCH_REQUESTS, _BATCH_SCORES = 256, 1 << 23


def rank_requests(
    recommender: Recommender, request_frame: pl.DataFrame, known_until: pl.Series | None = None
) -> pl.DataFrame:
    """Return the lists of a packaged model for evaluation requests.

    Only the history and the time of a request are used, not the histories packaged with the model.

    Args:
        recommender: The packaged model.
        request_frame: Requests, one per row; columns as in `Requests.to_frame`.
        known_until: For each request, the time in epoch seconds of the newest events that the
            model knows. The items of later events are only excluded from the list, if items of the
            history are.

    Returns:
        One row per request, in the same order; columns as in `report.to_predictions`.
    """
    size = min(_BATCH_REQUESTS, max(1, _BATCH_SCORES // len(recommender.catalogue)))
    if known_until is None:
        known_until = pl.repeat(np.inf, request_frame.height, eager=True)
    batches = [
        _rank_batch(
            recommender, request_frame[start : start + size], known_until[start : start + size]
        )
        for start in range(0, request_frame.height, size)
    ]
    return pl.concat(batches)


def _rank_batch(
    recommender: Recommender, request_frame: pl.DataFrame, known_until: pl.Series
) -> pl.DataFrame:
    batch = [
        Request(_history(recommender.catalogue, earlier, until), k=DEPTH, offline_seconds=seconds)
        for (earlier, seconds), until in zip(
            _earlier_events(request_frame), known_until, strict=True
        )
    ]
    ranked, scores = recommender.rank(batch)
    return to_predictions(ranked, scores, recommender.catalogue)


def _history(catalogue: Catalogue, events: list[HistoryEvent], until: float) -> UserHistory:
    """Return the history of the events that are not after `until`, with all items as seen."""
    complete = UserHistory.empty().updated_with(events, catalogue)
    if until == np.inf:
        return complete
    known = [event for event in events if not event[2] > until]
    return replace(UserHistory.empty().updated_with(known, catalogue), seen=complete.seen)


def _earlier_events(request_frame: pl.DataFrame) -> Iterator[tuple[list[HistoryEvent], float]]:
    """Yield the events before each request, and its time in epoch seconds (NaN if unknown)."""
    columns = (request_frame[name] for name in (HISTORY, EVENTS, TIMES))
    for items, events, times, time in zip(
        *columns, epoch_seconds(request_frame[c.TIME]), strict=True
    ):
        yield list(zip(items, events, epoch_seconds(times), strict=True)), float(time)
