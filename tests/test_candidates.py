"""What a request is spared among many items must change nothing: parts of a whole are as the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recloop.models.at_hand import AtHand
from recloop.models.finders import Once, linked
from recloop.models.item_item import ItemItem, by_links
from recloop.models.scope import Part, Sample, meeting
from recloop.models.scorer import Histories, products
from recloop.models.sketch import Sketch
from recloop.models.titles import TitleIndex

ITEMS = 30
SCOPES = st.sets(st.integers(0, ITEMS - 1)).map(
    lambda rows: Part(np.array(sorted(rows), np.int64), np.ones(len(rows), np.float32))
)
TITLES = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=4).map(" ".join), max_size=60)


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_those_that_are_among_others(rows, others) -> None:
    mine, theirs = (np.array(sorted(each), np.int64) for each in (rows, others))
    assert mine[meeting(mine, theirs)].tolist() == sorted(rows & others)


def test_the_sample_is_in_every_scope_and_its_places_are_known() -> None:
    part = Sample(np.array([2, 5]), np.ones(8, bool)).around(np.array([7, 0, 5]))
    assert part.rows.tolist() == [0, 2, 5, 7]
    assert part.sampled.tolist() == [1, 2]
    assert part.below(5).sampled.tolist() == [1]


@given(SCOPES, st.sampled_from([np.float16, np.float32]))
def test_products_are_the_same_with_a_sample_at_hand(scope, kind) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ITEMS, 4)).astype(kind)
    users = rng.normal(size=(2, 4)).astype(np.float32)
    sample = Sample(np.array([3, 8, 21]), np.ones(ITEMS, bool))
    around = sample.around(scope.rows)
    for part in (scope, around, around.below(10)):
        found = AtHand(vectors, sample.rows).products(users, part)
        np.testing.assert_allclose(found, products(users, vectors, part), rtol=1e-5, atol=1e-6)


def test_a_scope_of_nothing_but_the_sample_has_its_products_too() -> None:
    vectors = np.eye(3, dtype=np.float32)
    part = Sample(np.array([0, 2]), np.ones(3, bool)).around(np.array([0]))
    users = np.array([[1, 2, 3]], np.float32)
    assert AtHand(vectors, np.array([0, 2])).products(users, part).tolist() == [[1, 3]]


@given(SCOPES, st.lists(st.integers(0, ITEMS - 1), max_size=6), st.booleans())
def test_what_links_say_of_a_part_is_what_they_say_of_all(scope, history, dense) -> None:
    """Of every third item; a third of the weights are not 0, some below."""
    rows, rng = np.arange(0, ITEMS, 3), np.random.default_rng(1)
    weights = rng.normal(size=(10, 10)).astype(np.float32) * (rng.random((10, 10)) < 0.3)
    stored = weights.astype(np.float32) if dense else sparse.csr_matrix(weights)
    model = ItemItem(stored, rows, ITEMS, decay=0.5)
    asked = Histories([np.array(history, np.int64)], scope=scope)
    everywhere = model.score(asked.histories)
    links = Once(lambda asked: [model.links(each) for each in asked.histories])
    for found in (by_links(links, ITEMS)(asked), model.score(asked.histories, scope)):
        np.testing.assert_allclose(found, everywhere[:, scope.rows], rtol=1e-5, atol=1e-6)
    best = linked(links)(asked, 2)
    assert sorted(everywhere[0, best]) == pytest.approx(
        sorted(value for value in everywhere[0] if value > 0)[-2:], rel=1e-5
    )


@given(TITLES, st.lists(st.sampled_from("abcdefgh"), max_size=4).map(" ".join), st.integers(1, 5))
def test_no_title_matches_better_than_those_that_are_found(titles, query, count) -> None:
    index = TitleIndex(titles)
    match = index.match(query)
    found = index.find(query, count)
    assert len(set(found.tolist())) == len(found)
    wanted = np.sort(match[match > 0])[::-1][:count]
    assert np.sort(match[found])[::-1] == pytest.approx(wanted, rel=1e-4)


@given(TITLES, st.data())
def test_titles_match_in_a_part_as_everywhere(titles, data) -> None:
    rows = data.draw(st.sets(st.integers(0, len(titles) - 1)) if titles else st.just(set()))
    scope = Part(np.array(sorted(rows), np.int64), np.ones(len(rows), np.float32))
    index = TitleIndex(titles)
    for query in ("a", "a c e", "h", ""):
        expected = index.match(query)[scope.rows]
        assert index.match(query, scope) == pytest.approx(expected)


def test_a_sketch_has_the_whole_of_eight_bits_in_each_direction() -> None:
    """Two directions, the second a thousandth of the first."""
    drawn = np.array([[3, 0], [-6, 0], [0, 0.001], [0, -0.003]], np.float32)
    numbers = Sketch.draw([drawn], np.arange(4)).numbers
    assert numbers.dtype == np.int8
    assert np.abs(numbers).tolist() == [[64, 0], [127, 0], [0, 42], [0, 127]]
