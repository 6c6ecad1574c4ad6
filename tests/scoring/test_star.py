"""Tests of STAR and of the newest items of a history, on three items."""

import numpy as np
import pytest
from scipy import sparse

from recloop.scoring.candidate_set import ALL_ITEMS, Candidates, CandidateSet
from recloop.scoring.channels.last_items import last_items_matrix, linked_scores
from recloop.scoring.channels.star import Star, StarSetting

NOTHING = np.empty(0, np.int64)
TEXT = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
LINKS = np.array([[1, 0.5, 0.2], [0.5, 1, 0.4], [0.2, 0.4, 1]], np.float32)
SETTING = StarSetting(semantic=0.25, decay=0.5, last=2)
# History 0, 1: text and links of each item to 1 count whole, those to 0 half; the mean of the two.
EXPECTED = [
    (0.25 * (0 + 0.5 * 1) + 0.75 * (0.5 + 0.5 * 1)) / 2,
    (0.25 * (1 + 0.5 * 0) + 0.75 * (1 + 0.5 * 0.5)) / 2,
    (0.25 * (0.8 + 0.5 * 0.6) + 0.75 * (0.4 + 0.5 * 0.2)) / 2,
]


def test_settings_of_the_paper() -> None:
    assert StarSetting().to_dict() == {"semantic": 0.5, "decay": 0.7, "last": 3}


@pytest.mark.parametrize("links", [LINKS, sparse.csr_matrix(LINKS)])
def test_star_is_the_decayed_mean_of_text_and_links(links) -> None:
    scores = Star(TEXT, links, SETTING).score([np.array([0, 1]), NOTHING])
    assert scores[0] == pytest.approx(EXPECTED)
    assert scores[1].tolist() == [0, 0, 0]


def test_star_reads_the_newest_items_only() -> None:
    star = Star(TEXT, LINKS, SETTING)
    # An item that occurs twice counts once, at its last occurrence.
    longer = star.score([np.array([2, 0, 1]), np.array([1, 2, 0, 1])])
    assert longer[0] == pytest.approx(EXPECTED)
    assert longer[1] == pytest.approx(EXPECTED)


@pytest.mark.parametrize(
    "candidates", [ALL_ITEMS, CandidateSet(np.array([0, 2]), np.ones(2, np.float32))]
)
def test_star_scores_the_candidates(candidates: Candidates) -> None:
    scores = Star(TEXT, LINKS, SETTING).score([np.array([0, 1])], candidates)
    assert scores[0] == pytest.approx(np.array(EXPECTED)[candidates.rows])


def test_newest_items_are_weighted_by_recency() -> None:
    histories = [np.array([0, 2, 1]), NOTHING, np.array([1, 0, 1])]
    steps = last_items_matrix(histories, items=3, last=2, decay=0.5)
    assert steps.toarray().tolist() == [[0, 1, 0.5], [0, 0, 0], [0.5, 1, 0]]
    assert linked_scores(steps, sparse.csr_matrix(LINKS)) == pytest.approx(steps @ LINKS)
    assert last_items_matrix([], items=3, last=2, decay=0.5).shape == (0, 3)
