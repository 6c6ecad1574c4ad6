"""Tests of LambdaMART: it finds a good channel, is deterministic, and reads no test request."""

from dataclasses import replace

import numpy as np
import pytest

from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.channels.learned_ranking import CandidateChannels, LearnedRanking
from recloop.scoring.scorer import Channel, RequestBatch, Scores, ScoringRequests
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from recloop.training.channels.lambdamart_fitting import (
    LambdaMARTConfig,
    RankingTable,
    fit_lambdamart,
    fit_trees,
    ranking_table,
)
from tests.support import circle

ITEMS = 60
CONFIG = LambdaMARTConfig(per_channel=20, max_trees=20, threads=1)
NO_TEXT = np.zeros((circle.ITEMS, 1), np.float32)


def next_item(requests: ScoringRequests) -> Scores:
    """Return scores that are highest for the item after the newest one, the right answer."""
    newest = np.array([history[-1] for history in requests.histories])
    distance = (np.arange(ITEMS) - newest[:, None] - 1) % ITEMS
    return np.exp(-distance / 10).astype(np.float32)


def noise(seed: int) -> Channel:
    """Return a channel of random scores, the same for all requests with one newest item."""
    table = np.random.default_rng(seed).random((ITEMS, ITEMS), np.float32)
    return lambda requests: table[[history[-1] for history in requests.histories]]


def requests(count: int, seed: int) -> Requests:
    newest = np.random.default_rng(seed).integers(0, ITEMS, count)
    histories = [np.array([(item - 1) % ITEMS, item]) for item in newest]
    return Requests(histories, [np.array([(item + 1) % ITEMS]) for item in newest])


def proposals(good: str) -> CandidateChannels:
    channels = {name: noise(number) for number, name in enumerate(["first", "second", "third"])}
    return CandidateChannels({**channels, good: next_item}, 20, masked=True)


@pytest.mark.parametrize("good", ["first", "third"])
def test_the_best_channel_is_found(good: str) -> None:
    candidates, unseen = proposals(good), requests(100, seed=2)
    table = ranking_table(candidates, requests(200, seed=1), ITEMS)
    predict, trees = fit_trees(table, list(candidates.channels), CONFIG, seed=1)
    ranking = LearnedRanking(candidates, predict, np.zeros(ITEMS, np.float32))
    assert trees >= 1
    assert unseen.mean_ndcg(next_item, ITEMS) == 1
    assert unseen.mean_ndcg(noise(1), ITEMS) < 0.2
    assert unseen.mean_ndcg(ranking, ITEMS) > 0.99


def test_the_table_holds_the_requests_with_a_relevant_candidate() -> None:
    one = Requests(
        [np.array([3]), np.array([5])],
        [np.array([4]), np.array([5])],  # the second one's answer is masked, so no candidate
        users=np.array([7, 8]),
    )
    table = ranking_table(CandidateChannels({"next": next_item}, 3, masked=True), one, ITEMS)
    assert table.users.tolist() == [7]
    assert table.sizes.tolist() == [3]
    assert table.labels.tolist() == [1, 0, 0]
    assert table.features.shape == (3, 3)


def test_equal_seeds_give_equal_trees() -> None:
    candidates = proposals("second")
    table = ranking_table(candidates, requests(100, seed=1), ITEMS)
    fits = [fit_trees(table, list(candidates.channels), CONFIG, seed=3) for _ in range(2)]
    first, second = (predict(table.features).tolist() for predict, _ in fits)
    assert first == second
    assert fits[0][1] == fits[1][1]


def test_without_requests_the_scores_are_added() -> None:
    table = RankingTable(
        np.empty((0, 5), np.float32),
        np.empty(0, np.int8),
        np.empty(0, np.int64),
        np.empty(0, np.int64),
    )
    predict, trees = fit_trees(table, ["first", "second"], CONFIG, seed=1)
    assert trees == 0
    assert predict(np.array([[1, 2, 30, 40, 50]], np.float32)).tolist() == [3]


def test_one_user_is_enough() -> None:
    candidates = proposals("first")
    table = ranking_table(candidates, requests(30, seed=1), ITEMS)
    own = replace(table, users=np.zeros_like(table.users))
    _, trees = fit_trees(own, list(candidates.channels), CONFIG, seed=1)
    assert trees == CONFIG.max_trees


def fitted_scores(*, test_step: int) -> tuple[list[list[float]], dict[str, object]]:
    data = circle.training_data(test_step=test_step)
    # Fine trees, so that a change of any channel is seen in the scores.
    config = CONFIG.model_copy(update={"min_rows_in_leaf": 1, "l2": 0.0, "learning_rate": 0.5})
    fitted = fit_lambdamart(FittedChannels(data, ChannelGrids(), 1), NO_TEXT, config, seed=1)
    batch = RequestBatch([np.array([2, 3, 4])], request_times=np.array([1_001_000.0]))
    return fitted.final(batch).tolist(), fitted.setting


def test_no_test_request_is_read() -> None:
    scores, setting = fitted_scores(test_step=1)
    assert fitted_scores(test_step=4) == (scores, setting)
    assert setting["requests"] == circle.USERS
    assert scores[0][5] == max(scores[0])  # the item after 4


def test_the_trees_learn_from_channels_that_have_not_seen_validation() -> None:
    channels = FittedChannels(circle.training_data(), ChannelGrids(), 1)
    fitted = fit_lambdamart(channels, NO_TEXT, CONFIG, seed=1)
    batch = RequestBatch([np.array([2, 3, 4])], request_times=np.array([1_001_000.0]))
    assert fitted.tuned(batch).shape == fitted.final(batch).shape == (1, circle.ITEMS)
    assert channels.data.train.parts.max() == 0
