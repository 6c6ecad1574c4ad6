"""Splits and requests, with tables that a reader can follow."""

import polars as pl
import pytest

from recloop import columns as c
from recloop.data.contract import conform_interactions
from recloop.data.split import HISTORY, SplitError, requests, split_interactions


def table(*rows: tuple[str, str, int]) -> pl.DataFrame:
    raw = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return conform_interactions(raw).rows


TEN = table(*[("u", f"i{t}", t) for t in range(10)])


def test_temporal_parts_do_not_overlap_in_time() -> None:
    parts = split_interactions(TEN, "temporal", 0.2, 0.2)
    assert parts.train[c.ITEM].to_list() == [f"i{t}" for t in range(6)]
    assert parts.valid[c.ITEM].to_list() == ["i6", "i7"]
    assert parts.test[c.ITEM].to_list() == ["i8", "i9"]


def test_equal_times_stay_together() -> None:
    same = table(*[("u", f"i{n}", t) for n, t in enumerate([0, 1, 2, 3, 4, 4, 4, 5, 6, 7])])
    parts = split_interactions(same, "temporal", 0.2, 0.2)
    assert parts.train[c.TIME].max() < parts.valid[c.TIME].min()
    assert parts.valid[c.TIME].max() < parts.test[c.TIME].min()


def test_leave_one_out_holds_back_the_last_two_of_each_user() -> None:
    rows = table(("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("v", "a", 1), ("v", "b", 2))
    parts = split_interactions(rows, "leave-one-out", 0.1, 0.1)
    assert parts.test[c.ITEM].to_list() == ["c"]
    assert parts.valid[c.ITEM].to_list() == ["b"]
    assert sorted(parts.train[c.ITEM]) == ["a", "a", "b"]  # v is too short to hold anything back


def test_too_little_data_is_an_error() -> None:
    with pytest.raises(SplitError, match="1 interactions"):
        split_interactions(TEN.head(1), "temporal", 0.1, 0.1)


def test_a_request_knows_what_lies_strictly_before_it_and_no_more() -> None:
    past = table(("u", "a", 1), ("u", "b", 2))
    future = table(("u", "c", 5), ("u", "d", 5), ("u", "e", 6), ("v", "a", 7))
    asked = requests(past, future, "temporal", repeats=False)
    assert asked.select(c.USER, HISTORY, c.RELEVANT).rows() == [
        ("u", ["a", "b"], ["c", "d"]),
        ("u", ["a", "b", "c", "d"], ["e"]),
        ("v", [], ["a"]),
    ]


def test_items_met_before_are_not_asked_for_again() -> None:
    asked = requests(
        table(("u", "a", 1)), table(("u", "a", 2), ("u", "b", 3)), "temporal", repeats=False
    )
    assert asked[c.RELEVANT].to_list() == [["b"]]


def test_where_repeats_are_allowed_they_are_asked_for_once_a_moment() -> None:
    past = table(("u", "a", 1), ("u", "a", 2))
    future = table(("u", "a", 3), ("u", "a", 3), ("u", "b", 3))
    asked = requests(past, future, "temporal", repeats=True)
    assert asked.select(HISTORY, c.RELEVANT).rows() == [(["a", "a"], ["a", "b"])]


def test_leave_one_out_requests_use_the_whole_past_whatever_its_times() -> None:
    asked = requests(
        table(("u", "a", 1), ("u", "b", 3)), table(("u", "c", 3)), "leave-one-out", repeats=False
    )
    assert asked.select(HISTORY, c.RELEVANT).rows() == [(["a", "b"], ["c"])]
