"""Ranked lists for evaluation requests, from the `Recommender` that also serves HTTP."""

from collections.abc import Iterator

import polars as pl

from recloop import columns as c
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import epoch_seconds
from recloop.evaluation.report import DEPTH, predictions
from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request

# Limits of one batch: requests, and scores per channel.
_BATCH, _CELLS = 256, 1 << 23


def served_lists(recommender: Recommender, asked: pl.DataFrame) -> pl.DataFrame:
    """Return the lists of a packaged model for evaluation requests.

    Only the history and the time of a request are used, not the histories packaged with the model.

    Args:
        recommender: The packaged model.
        asked: Requests, one per row; columns as in `Requests.table`.

    Returns:
        One row per request, in the same order; columns as in `report.predictions`.
    """
    size = min(_BATCH, max(1, _CELLS // len(recommender.catalogue)))
    parts = [
        _answer(recommender, asked[start : start + size]) for start in range(0, asked.height, size)
    ]
    return pl.concat(parts)


def _answer(recommender: Recommender, asked: pl.DataFrame) -> pl.DataFrame:
    nobody = UserHistory.empty()
    batch = [
        Request(nobody.updated_with(happened, recommender.catalogue), k=DEPTH, offline_seconds=at)
        for happened, at in _happened(asked)
    ]
    ranked, scores = recommender.rank(batch)
    return predictions(ranked, scores, recommender.catalogue)


def _happened(asked: pl.DataFrame) -> Iterator[tuple[list[HistoryEvent], float]]:
    """Yield the events before each request, and its time in epoch seconds (NaN if unknown)."""
    columns = (asked[name] for name in (HISTORY, EVENTS, TIMES))
    for items, events, times, at in zip(*columns, epoch_seconds(asked[c.TIME]), strict=True):
        yield list(zip(items, events, epoch_seconds(times), strict=True)), float(at)
