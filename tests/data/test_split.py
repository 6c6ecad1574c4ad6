"""Tests of splits and requests, with small tables."""

import polars as pl
import pytest
from pydantic import ValidationError

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.contract import conform_interactions
from recloop.data.interaction_log import TEST_PART, InteractionLog
from recloop.data.split import (
    HISTORY,
    Split,
    SplitConfig,
    SplitError,
    allows_repeats,
    joined,
    split_interactions,
)
from recloop.evaluation.evaluation_requests import Requests


def table(*rows: tuple[str, str, int]) -> pl.DataFrame:
    raw = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return conform_interactions(raw).rows


def make_requests(
    past: pl.DataFrame, future: pl.DataFrame, protocol: str, *, repeats: bool
) -> pl.DataFrame:
    """Return the requests about `future`."""
    items = pl.concat([past, future]).select(c.ITEM).unique(maintain_order=True)
    rows = joined(Split(past, past.clear(), future))
    log = InteractionLog.from_frame(rows, items[c.ITEM], repeats=repeats)
    group_by_time = protocol == "temporal"
    requests = Requests.from_log(log, TEST_PART, group_by_time=group_by_time, repeats=repeats)
    return requests.to_frame(Catalogue(items), log.users)


TEN = table(*[("u", f"i{t}", t) for t in range(10)])


def test_temporal_parts_do_not_overlap_in_time() -> None:
    parts = split_interactions(TEN, "temporal", 0.2, 0.2)
    assert parts.train[c.ITEM].to_list() == [f"i{t}" for t in range(6)]
    assert parts.valid[c.ITEM].to_list() == ["i6", "i7"]
    assert parts.test[c.ITEM].to_list() == ["i8", "i9"]


def test_equal_times_stay_together() -> None:
    same = table(*[("u", f"i{n}", t) for n, t in enumerate([0, 1, 2, 3, 4, 4, 4, 5, 6, 7])])
    parts = split_interactions(same, "temporal", 0.2, 0.2)
    times = [sorted(part[c.TIME]) for part in (parts.train, parts.valid, parts.test)]
    assert times[0][-1] < times[1][0]
    assert times[1][-1] < times[2][0]


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
    requests = make_requests(past, future, "temporal", repeats=False)
    assert requests.select(c.USER, HISTORY, c.RELEVANT).rows() == [
        ("u", ["a", "b"], ["c", "d"]),
        ("u", ["a", "b", "c", "d"], ["e"]),
        ("v", [], ["a"]),
    ]


def test_items_met_before_are_not_asked_for_again() -> None:
    requests = make_requests(
        table(("u", "a", 1)), table(("u", "a", 2), ("u", "b", 3)), "temporal", repeats=False
    )
    assert requests[c.RELEVANT].to_list() == [["b"]]


def test_repeats_are_requested_once_per_time() -> None:
    past = table(("u", "a", 1), ("u", "a", 2))
    future = table(("u", "a", 3), ("u", "a", 3), ("u", "b", 3))
    requests = make_requests(past, future, "temporal", repeats=True)
    assert requests.select(HISTORY, c.RELEVANT).rows() == [(["a", "a"], ["a", "b"])]


def test_leave_one_out_requests_use_the_whole_past_whatever_its_times() -> None:
    requests = make_requests(
        table(("u", "a", 1), ("u", "b", 3)), table(("u", "c", 3)), "leave-one-out", repeats=False
    )
    assert requests.select(HISTORY, c.RELEVANT).rows() == [(["a", "b"], ["c"])]


def test_a_request_table_reads_back_as_the_requests_that_it_was_made_of() -> None:
    past = table(("u", "a", 10), ("u", "b", 200), ("v", "b", 300))
    future = table(("u", "c", 5_000), ("v", "a", 9_000))
    items = pl.DataFrame({c.ITEM: ["a", "b", "c"]})
    rows = joined(Split(past, past.clear(), future))
    log = InteractionLog.from_frame(rows, items[c.ITEM], repeats=False)
    requests = Requests.from_log(log, TEST_PART, group_by_time=True, repeats=False)
    read = Requests.from_frame(requests.to_frame(Catalogue(items), log.users), Catalogue(items))
    assert [rows.tolist() for rows in requests.histories] == [[0, 1], [1]]
    for name in ("histories", "relevant", "signals"):
        for one, other in zip(getattr(requests, name), getattr(read, name), strict=True):
            assert one.tolist() == other.tolist()
    for each in (requests, read):
        assert each.users is not None
        assert each.users.tolist() == [0, 1]
        assert each.request_times is not None
        assert each.request_times.tolist() == [5_000, 9_000]


def test_only_positive_events_with_known_items_are_in_the_log() -> None:
    rows = [
        ("a", "x", 1, "click"),
        ("a", "y", 2, "hide"),
        ("a", "gone", 3, "click"),
        ("b", "y", 4, "play"),
    ]
    schema = ["user_id", "item_id", "timestamp", "event"]
    frame = conform_interactions(pl.DataFrame(rows, schema=schema, orient="row")).rows
    interactions = joined(Split(frame, frame.clear(), frame.clear()))
    log = InteractionLog.from_frame(interactions, pl.Series(["x", "y", "z"]), repeats=False)
    assert log.items.tolist() == [0, 1]
    assert log.counts().tolist() == [1, 1, 0]
    assert log.sequences() == []  # nobody liked two items of the catalogue


@pytest.mark.parametrize(("setting", "allowed"), [(None, True), (False, False), (True, True)])
def test_the_data_decide_whether_repeats_are_allowed(setting, allowed) -> None:
    """One of two validation rows has an item that its user has in training."""
    train, valid = table(("u", "a", 1), ("v", "b", 2)), table(("u", "a", 3), ("v", "c", 4))
    assert allows_repeats(train, valid, setting=setting) is allowed
    assert not allows_repeats(train, valid.tail(1), setting=None)


@pytest.mark.parametrize("shares", [{"valid": 1.5}, {"test": 0.0}, {"valid": 0.6, "test": 0.6}])
def test_shares_that_leave_no_training_data_are_refused(shares) -> None:
    with pytest.raises(ValidationError):
        SplitConfig(**shares)
