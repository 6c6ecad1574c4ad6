"""Tests that scoring a subset of the items gives the same scores as scoring all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recloop.scoring.candidate_set import CandidateSet, ReferenceSample, common_positions
from recloop.scoring.candidates.approximation import ScoreApproximator
from recloop.scoring.candidates.generators import item_item_candidates, memoised_per_request
from recloop.scoring.candidates.pinned_rows import PinnedRows
from recloop.scoring.channels.item_item import ItemItemModel, sparse_scores_channel
from recloop.scoring.query.title_index import TitleIndex
from recloop.scoring.scorer import RequestBatch, dot_products

ITEMS = 30
SCOPES = st.sets(st.integers(0, ITEMS - 1)).map(
    lambda rows: CandidateSet(np.array(sorted(rows), np.int64), np.ones(len(rows), np.float32))
)
TITLES = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=4).map(" ".join), max_size=60)


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_membership_in_sorted_rows(rows, others) -> None:
    mine, theirs = (np.array(sorted(each), np.int64) for each in (rows, others))
    assert mine[common_positions(mine, theirs)].tolist() == sorted(rows & others)


def test_the_sample_is_in_every_candidate_set_and_its_positions_are_known() -> None:
    part = ReferenceSample(np.array([2, 5]), np.ones(8, bool)).with_candidates(np.array([7, 0, 5]))
    assert part.rows.tolist() == [0, 2, 5, 7]
    assert part.reference_positions.tolist() == [1, 2]
    assert part.rows_below(5).reference_positions.tolist() == [1]


@given(SCOPES, st.sampled_from([np.float16, np.float32]))
def test_products_are_the_same_with_pinned_rows(scope, kind) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ITEMS, 4)).astype(kind)
    users = rng.normal(size=(2, 4)).astype(np.float32)
    sample = ReferenceSample(np.array([3, 8, 21]), np.ones(ITEMS, bool))
    around = sample.with_candidates(scope.rows)
    for part in (scope, around, around.rows_below(10)):
        found = PinnedRows(vectors, sample.rows).dot_products(users, part)
        np.testing.assert_allclose(found, dot_products(users, vectors, part), rtol=1e-5, atol=1e-6)


def test_a_candidate_set_of_the_sample_alone_has_its_products() -> None:
    vectors = np.eye(3, dtype=np.float32)
    part = ReferenceSample(np.array([0, 2]), np.ones(3, bool)).with_candidates(np.array([0]))
    users = np.array([[1, 2, 3]], np.float32)
    assert PinnedRows(vectors, np.array([0, 2])).dot_products(users, part).tolist() == [[1, 3]]


@given(SCOPES, st.lists(st.integers(0, ITEMS - 1), max_size=6), st.booleans())
def test_sparse_scores_of_a_subset_are_those_of_all_items(scope, history, dense) -> None:
    """The subset is every third item; a third of the weights are not 0, some are negative."""
    rows, rng = np.arange(0, ITEMS, 3), np.random.default_rng(1)
    weights = rng.normal(size=(10, 10)).astype(np.float32) * (rng.random((10, 10)) < 0.3)
    stored = weights.astype(np.float32) if dense else sparse.csr_matrix(weights)
    model = ItemItemModel(stored, rows, ITEMS, decay=0.5)
    requests = RequestBatch([np.array(history, np.int64)], candidates=scope)
    everywhere = model.score(requests.histories)
    links = memoised_per_request(
        lambda batch: [model.sparse_scores_for(each) for each in batch.histories]
    )
    for found in (
        sparse_scores_channel(links, ITEMS)(requests),
        model.score(requests.histories, scope),
    ):
        np.testing.assert_allclose(found, everywhere[:, scope.rows], rtol=1e-5, atol=1e-6)
    best = item_item_candidates(links)(requests, 2)
    assert sorted(everywhere[0, best]) == pytest.approx(
        sorted(value for value in everywhere[0] if value > 0)[-2:], rel=1e-5
    )


@given(TITLES, st.lists(st.sampled_from("abcdefgh"), max_size=4).map(" ".join), st.integers(1, 5))
def test_no_title_matches_better_than_the_candidates(titles, query, count) -> None:
    index = TitleIndex(titles)
    match = index.match(query)
    found = index.top_matches(query, count)
    assert len(set(found.tolist())) == len(found)
    wanted = np.sort(match[match > 0])[::-1][:count]
    assert np.sort(match[found])[::-1] == pytest.approx(wanted, rel=1e-4)


@given(TITLES, st.data())
def test_title_scores_of_a_subset_are_those_of_all_items(titles, data) -> None:
    rows = data.draw(st.sets(st.integers(0, len(titles) - 1)) if titles else st.just(set()))
    scope = CandidateSet(np.array(sorted(rows), np.int64), np.ones(len(rows), np.float32))
    index = TitleIndex(titles)
    for query in ("a", "a c e", "h", ""):
        expected = index.match(query)[scope.rows]
        assert index.match(query, scope) == pytest.approx(expected)


def test_the_approximation_uses_eight_bits_in_each_direction() -> None:
    """The second of two directions is a thousandth of the first."""
    drawn = np.array([[3, 0], [-6, 0], [0, 0.001], [0, -0.003]], np.float32)
    numbers = ScoreApproximator.fit([drawn], np.arange(4)).components
    assert numbers.dtype == np.int8
    assert np.abs(numbers).tolist() == [[64, 0], [127, 0], [0, 42], [0, 127]]
