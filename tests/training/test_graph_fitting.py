"""Tests of the item graph: transitions counted by hand, RP3beta, and the choice of settings."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recloop.data.interaction_log import InteractionLog
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.channels.graph_fitting import fit_graph, rp3_weights, transition_weights
from tests.support.circle import training_data

NOTHING = np.empty(0, np.int64)
ITEM_COUNT = 4


def log_of(*histories: list[int]) -> InteractionLog:
    """Return a log in which user n has the items of histories[n], a minute apart."""
    rows = [
        {"user_id": f"u{user}", "item_id": str(item), "pos": step, "part": 0}
        for user, items in enumerate(histories)
        for step, item in enumerate(items)
    ]
    time = pl.lit(None, pl.Datetime("us", "UTC")).alias("timestamp")
    ids = pl.Series([str(item) for item in range(ITEM_COUNT)])
    return InteractionLog.from_frame(pl.DataFrame(rows).with_columns(time), ids, repeats=True)


def test_transitions_count_pairs_of_a_user_by_their_distance() -> None:
    log = log_of([0, 1, 2], [0, 2], [3])
    assert log.ordered
    # 0 → 1 and 1 → 2 once; 0 → 2 at distance 2 for the first user, at distance 1 for the second.
    one = [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    two = [[0, 1, 1 + 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert transition_weights(log, 1).toarray().tolist() == one
    assert transition_weights(log, 2).toarray().tolist() == two
    assert transition_weights(log, 100).toarray().tolist() == two


def test_an_item_may_follow_itself() -> None:
    assert transition_weights(log_of([1, 1, 1]), 2).toarray()[1, 1] == 1 + 1 + 0.5


def test_one_interaction_makes_no_transition() -> None:
    assert transition_weights(log_of([2]), 10).nnz == 0


def test_rp3_is_the_walk_to_a_user_and_back() -> None:
    # Three users: {0, 1}, {0, 1}, {1, 2}; item 3 is nobody's.
    matrix = sparse.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]], np.float32))
    # From 0: to one of its two users, each of whom has two items. From 1: one of three users.
    third, half = 1 / 3, 1 / 2
    expected = [
        [0, 2 * half * half, 0, 0],
        [2 * third * half, 0, third * half, 0],
        [0, 1 * half, 0, 0],
        [0, 0, 0, 0],
    ]
    assert rp3_weights(matrix, 1.0).toarray() == pytest.approx(np.array(expected))
    squared = rp3_weights(matrix, 2.0).toarray()
    assert squared[1, 0] == pytest.approx(2 * third**2 * half**2)


def test_with_an_order_the_next_step_is_found() -> None:
    fitted = fit_graph(FittedChannels(training_data(), ChannelGrids(), 1))
    assert set(fitted.setting) == {"window", "last", "decay", "damping", "two_steps"}
    scores = fitted.final.score([np.array([2, 3, 4]), NOTHING])
    assert scores[0].argmax() == 5
    assert scores[1].tolist() == [0] * scores.shape[1]


def test_without_an_order_it_is_rp3beta() -> None:
    data = training_data(ordered=False)
    fitted = fit_graph(FittedChannels(data, ChannelGrids(), 1))
    assert set(fitted.setting) == {"alpha", "damping"}
    weights = rp3_weights(_binary(data.past), fitted.setting["alpha"]).toarray()
    history = np.array([2, 5, 9])
    degrees = data.past.counts()
    expected = weights[history].sum(0) / degrees ** fitted.setting["damping"]
    assert fitted.final.score([history])[0] == pytest.approx(expected, rel=1e-4)
    # The order of the history does not matter.
    assert fitted.final.score([history[::-1]])[0] == pytest.approx(expected, rel=1e-4)


def _binary(log: InteractionLog) -> sparse.csr_matrix:
    ones = np.ones(len(log), np.float32)
    return sparse.csr_matrix((ones, (log.user_rows(), log.items)), (len(log.users), log.catalogue))
