"""Tests of the lists for evaluation requests."""

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.report import to_rows
from recloop.evaluation.request_ranking import rank_requests
from tests.support.toy_recommender import recommender

HOUR, LATER = 3_600.0, 3


def test_events_after_the_known_ones_are_only_excluded() -> None:
    model = recommender()
    catalogue = model.catalogue
    first, second = np.array([0], np.int64), np.array([0, LATER], np.int64)
    # Both requests are at ten o'clock; the second user also took a film of the other kind at half past nine.
    requests = Requests(
        [first, second],
        [np.array([1], np.int64)] * 2,
        users=np.array([0, 1]),
        request_times=np.array([10 * HOUR] * 2),
        times=[np.array([8 * HOUR]), np.array([8 * HOUR, 9.5 * HOUR])],
    )
    frame = requests.to_frame(catalogue, pl.Series(["a", "b"]))
    hour_old = rank_requests(model, frame, pl.Series([9 * HOUR] * 2))
    now = rank_requests(model, frame)
    known, stale = (
        [row for row in rows if row >= 0] for rows in to_rows(hour_old, catalogue).tolist()
    )
    # The model knows the same of both users, and the later film is left out for the second one.
    assert LATER in known
    assert stale == [row for row in known if row != LATER]
    assert now[0].equals(hour_old[0])
    # The later film changes the scores once it is known.
    assert now[1, c.SCORES].to_list() != hour_old[1, c.SCORES].to_list()
