"""Tests of candidates, their features, and the ranking by a learned function."""

import numpy as np
import pytest

from recloop.scoring.channels.learned_ranking import CandidateChannels, LearnedRanking
from recloop.scoring.scorer import Channel, RequestBatch, standardise

FIRST = np.array([[4, 3, 2, 1, 0]], np.float32)
SECOND = np.array([[0, 1, 0, 5, 0]], np.float32)
POPULARITY = np.array([0, 0, 1, 0, 9], np.float32)
HISTORY = np.array([0])


def fixed(scores: np.ndarray) -> Channel:
    return lambda requests: np.repeat(scores, len(requests.histories), 0)


def proposals(*, masked: bool, per_channel: int = 1) -> CandidateChannels:
    return CandidateChannels(
        {"first": fixed(FIRST), "second": fixed(SECOND)}, per_channel, masked=masked
    )


@pytest.mark.parametrize(("masked", "rows"), [(True, [1, 3]), (False, [0, 3])])
def test_candidates_are_the_best_of_each_channel(masked, rows) -> None:
    table = proposals(masked=masked).table(RequestBatch([HISTORY]))
    assert [own.tolist() for own in table.rows] == [rows]


def test_features_are_standardised_scores_ranks_and_length() -> None:
    table = proposals(masked=True).table(RequestBatch([HISTORY]))
    first, second = standardise(FIRST)[0], standardise(SECOND)[0]
    # Of the candidates 1 and 3, the first channel ranks 1 first, the second one 3.
    assert table.features[0] == pytest.approx([first[1], second[1], 0, np.log(2), np.log(2)])
    assert table.features[1] == pytest.approx([first[3], second[3], np.log(2), 0, np.log(2)])


def test_masked_items_are_no_candidates_where_few_items_are_left() -> None:
    table = proposals(masked=True, per_channel=5).table(RequestBatch([np.array([0, 1, 2, 4])]))
    assert [own.tolist() for own in table.rows] == [[3]]


def test_other_items_follow_the_candidates_by_popularity() -> None:
    ranking = LearnedRanking(
        proposals(masked=True), lambda features: -features[:, 0].astype(np.float64), POPULARITY
    )
    scores = ranking(RequestBatch([HISTORY, HISTORY]))
    # The function prefers 3 to 1; then the most popular of the others.
    assert np.argsort(-scores, axis=1, kind="stable").tolist() == [[3, 1, 4, 2, 0]] * 2


def test_no_requests_and_no_candidates() -> None:
    ranking = LearnedRanking(
        proposals(masked=True), lambda features: features[:, 0].astype(np.float64), POPULARITY
    )
    assert ranking(RequestBatch([])).shape == (0, 5)
    seen_all = ranking(RequestBatch([np.arange(5)]))
    assert np.argsort(-seen_all, axis=1, kind="stable").tolist() == [[4, 2, 0, 1, 3]]
