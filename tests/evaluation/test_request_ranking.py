"""Tests of the lists for evaluation requests."""

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.data.user_sequences import event_codes, step_signals
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.report import to_rows
from recloop.evaluation.request_ranking import rank_requests
from tests.support.toy_recommender import recommender

HOUR = 3_600.0
EAST1, EAST2, NORTH2 = 0, 1, 3


def test_events_after_the_known_ones_are_only_excluded() -> None:
    model = recommender()
    catalogue = model.catalogue
    # Both requests are at ten o'clock. Only the second user also clicked north2, half an hour ago.
    times = [np.array([8 * HOUR]), np.array([8 * HOUR, 9.5 * HOUR])]
    requests = Requests(
        [np.array([EAST1]), np.array([EAST1, NORTH2])],
        [np.array([EAST2])] * 2,
        users=np.array([0, 1]),
        request_times=np.array([10 * HOUR] * 2),
        signals=[step_signals(own, 10 * HOUR, event_codes(["click"] * len(own))) for own in times],
        times=times,
    )
    frame = requests.to_frame(catalogue, pl.Series(["a", "b"]))
    hour_old = rank_requests(model, frame, pl.Series([9 * HOUR] * 2))
    now = rank_requests(model, frame)
    known, stale = (
        [row for row in rows if row >= 0] for rows in to_rows(hour_old, catalogue).tolist()
    )
    # The model knows the same of both users, and north2 is left out for the second one.
    assert NORTH2 in known
    assert stale == [row for row in known if row != NORTH2]
    assert now[0].equals(hour_old[0])
    # The click changes the scores once it is known.
    assert now[1, c.SCORES].to_list() != hour_old[1, c.SCORES].to_list()
