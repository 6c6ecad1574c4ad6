"""Tests of the walk over the item graph, on three items."""

import numpy as np
import pytest
from scipy import sparse

from recloop.scoring.candidate_set import CandidateSet
from recloop.scoring.channels.item_graph import ItemGraphWalk

NOTHING = np.empty(0, np.int64)
# From 0 to 1 or 2 alike, from 1 to 2, from 2 nowhere.
STEPS = np.array([[0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]], np.float32)
DEGREES = np.array([0, 1, 4], np.float32)
FORMS = pytest.mark.parametrize("transitions", [STEPS, sparse.csr_matrix(STEPS)])


def walk(transitions, *, two_steps: float = 0.0, damping: float = 0.0) -> ItemGraphWalk:
    return ItemGraphWalk(
        transitions, DEGREES, last=2, decay=0.5, two_steps=two_steps, damping=damping
    )


@FORMS
def test_one_step_from_the_newest_items(transitions) -> None:
    # 1 is the newest; 0 counts half; the oldest 2 is not read.
    scores = walk(transitions).score([np.array([2, 0, 1]), NOTHING])
    assert scores.tolist() == [[0, 0.25, 1 + 0.25], [0, 0, 0]]


@FORMS
def test_a_share_of_the_walks_takes_two_steps(transitions) -> None:
    # From 0: one step to 1 or 2, a second one from 1 to 2.
    scores = walk(transitions, two_steps=0.25).score([np.array([0])])
    assert scores[0] == pytest.approx([0, 0.75 * 0.5, 0.75 * 0.5 + 0.25 * 0.5])


@FORMS
def test_popular_items_are_damped(transitions) -> None:
    scores = walk(transitions, damping=0.5).score([np.array([0])])
    assert scores[0] == pytest.approx([0, 0.5, 0.25])


def test_candidates_are_scored() -> None:
    scores = walk(STEPS).score([np.array([0])], CandidateSet(np.array([2]), np.ones(1, np.float32)))
    assert scores.tolist() == [[0.5]]
