"""Tests of the peer services: the same filters as ours, and ratios of their figures to ours."""

import pandas as pd
import pytest

from benchmarks.serving import peer_service, peers

ITEMS = pd.DataFrame(
    {"item_id": ["a", "b", "c", "never met"], "categories": [["x"], ["x", "y"], [], ["y"]]}
)


@pytest.mark.parametrize(
    ("categories", "exclude", "left"),
    [
        ([], [], [True, True, True]),
        (["x"], [], [True, True, False]),
        (["y", "unheard of"], [], [False, True, False]),
        (["x"], ["b", "never met"], [True, False, False]),
    ],
)
def test_filters_and_exclusions_hold_for_peers_too(categories, exclude, left) -> None:
    allowed = peer_service.Allowed(ITEMS, pd.Index(["a", "b", "c"]))
    request = peer_service.RecommendRequest(
        user_id="u", filters=peer_service.Filters(categories=categories), exclude=exclude
    )
    assert allowed.mask(request).tolist() == left


def test_ratios_are_the_peers_figures_divided_by_ours() -> None:
    theirs = {"calm": {"p50_ms": 9.0, "p99_ms": 20.0}, "peak": {"held": 250}}
    ours = {"calm": {"p50_ms": 3.0, "p99_ms": 40.0}, "peak": {"held": 500}}
    found = peers.ratios(theirs, ours)
    assert found == {"p50_ms": 3.0, "p99_ms": 0.5, "held": 0.5}


def test_a_ratio_to_zero_is_none() -> None:
    steps = {"calm": {"p50_ms": 1.0, "p99_ms": 1.0}, "peak": {"held": 0}}
    assert peers.ratios(steps, steps)["held"] is None
