"""Tests of the comparison of two recordings: equal, tied or different."""

import pytest

from benchmarks.versions.compare_lists import (
    DIFFERENT,
    EQUAL,
    TIED,
    DifferentRequestsError,
    Summary,
    compare,
    rename_reasons,
)

TOLERANCE = 0.01


def record(*items: tuple[str, float], status: int = 200, **other: object) -> dict:
    listed = [
        {"item_id": item, "score": score, "position": position}
        for position, (item, score) in enumerate(items, 1)
    ]
    request = {"kind": "known user", "path": "/v1/recommend"}
    result = {"status": status, "lists": {"items": listed}, "other": other}
    return {"number": 0, "phase": "packaged", "request": request, "result": result}


def compared(before: dict, after: dict, *ignored: str) -> Summary:
    return compare([before], [after], TOLERANCE, ignored)


def test_scores_within_the_tolerance_are_equal() -> None:
    summary = compared(record(("a", 2.0), ("b", 1.0)), record(("a", 2.005), ("b", 1.0)))
    assert summary.count(EQUAL) == 1
    assert summary.largest_score_difference == pytest.approx(0.005)


def test_a_score_beyond_the_tolerance_is_different() -> None:
    summary = compared(record(("a", 2.0)), record(("a", 2.02)))
    assert summary.count(DIFFERENT) == 1
    assert summary.fields == {"score": 1}


def test_another_order_is_different() -> None:
    summary = compared(record(("a", 2.0), ("b", 1.0)), record(("b", 2.0), ("a", 1.0)))
    assert summary.count(DIFFERENT) == 1
    assert summary.fields["items"] == 1


def test_items_with_equal_scores_may_change_places() -> None:
    before = record(("a", 2.0), ("b", 2.0), ("c", 1.0))
    summary = compared(before, record(("b", 2.0), ("a", 2.0), ("c", 1.0)))
    assert summary.count(TIED) == 1
    assert summary.fields == {"ties": 1}


def test_another_item_of_equal_score_is_different() -> None:
    summary = compared(record(("a", 2.0), ("b", 1.0)), record(("a", 2.0), ("c", 1.0)))
    assert summary.count(DIFFERENT) == 1


@pytest.mark.parametrize(
    ("after", "field"),
    [
        (record(("a", 2.0), ("b", 1.0)), "items"),
        (record(("a", 2.0), status=500), "status"),
        (record(("a", 2.0), degraded=["state"]), "degraded"),
    ],
)
def test_the_field_that_differs_is_named(after: dict, field: str) -> None:
    summary = compared(record(("a", 2.0)), after)
    assert summary.count(DIFFERENT) == 1
    assert field in summary.fields
    assert summary.examples[0]["fields"] == list(summary.fields)


def test_an_ignored_field_does_not_count() -> None:
    summary = compared(record(("a", 2.0)), record(("a", 2.0), degraded=["state"]), "degraded")
    assert summary.count(EQUAL) == 1


def test_reasons_are_compared_by_their_new_names() -> None:
    before, after = record(("a", 2.0)), record(("a", 2.0))
    before["result"]["lists"]["items"][0]["reasons"] = {"trend-0": 2.0}
    after["result"]["lists"]["items"][0]["reasons"] = {"recent-popularity-0": 2.0}
    assert compared(before, after).fields == {"reasons": 1}
    rename_reasons([before], {"trend-0": "recent-popularity-0"})
    assert compared(before, after).count(EQUAL) == 1


def test_other_requests_are_not_compared() -> None:
    after = record(("a", 2.0)) | {"request": {"kind": "nobody", "path": "/v1/recommend"}}
    with pytest.raises(DifferentRequestsError):
        compared(record(("a", 2.0)), after)
