"""Tests of the search that changes one value at a time."""

from collections.abc import Mapping
from typing import Any

from recloop.training.channels.grid_search import coordinate_search

GRIDS = {"first": [0, 1, 2, 3], "second": [0, 1, 2, 3]}


def test_the_search_finds_the_best_of_each_value_and_tries_none_twice() -> None:
    tried: list[tuple[int, int]] = []

    def quality(setting: Mapping[str, Any]) -> float:
        tried.append((setting["first"], setting["second"]))
        return -((setting["first"] - 2) ** 2) - (setting["second"] - 3) ** 2

    best = coordinate_search({"first": 0, "second": 0}, GRIDS, quality)
    assert best == {"first": 2, "second": 3}
    assert len(tried) == len(set(tried))


def test_a_later_pass_uses_what_an_earlier_one_found() -> None:
    def quality(setting: Mapping[str, Any]) -> float:
        return setting["second"] - 2 * abs(setting["first"] - setting["second"])

    start = {"first": 0, "second": 0}
    assert coordinate_search(start, GRIDS, quality) == start  # each single change is worse

    def ridge(setting: Mapping[str, Any]) -> float:
        return setting["first"] * (setting["second"] > 0) + setting["second"]

    assert coordinate_search(start, GRIDS, ridge, rounds=1) == {"first": 0, "second": 3}
    assert coordinate_search(start, GRIDS, ridge) == {"first": 3, "second": 3}


def test_equal_values_keep_the_start() -> None:
    start = {"first": 1, "second": 2}
    assert coordinate_search(start, GRIDS, lambda _: 0.0) == start
