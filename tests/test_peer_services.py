"""Peers as services: asked under the same rules as ours, and compared by division."""

import sys
from importlib import import_module
from types import ModuleType

import pandas as pd
import pytest

from flows.shell import CHECKOUT

ITEMS = pd.DataFrame(
    {"item_id": ["a", "b", "c", "never met"], "categories": [["x"], ["x", "y"], [], ["y"]]}
)


@pytest.fixture
def script(monkeypatch):
    """A script of benchmarks/serving, imported beside its neighbours as when it runs."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks" / "serving"))
    yield import_module
    for name in {"calls", "load", "steps", "peers", "peer_service"} - before:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("categories", "exclude", "left"),
    [
        ([], [], [True, True, True]),
        (["x"], [], [True, True, False]),
        (["y", "unheard of"], [], [False, True, False]),
        (["x"], ["b", "never met"], [True, False, False]),
    ],
)
def test_filters_and_exclusions_hold_for_peers_too(script, categories, exclude, left) -> None:
    service: ModuleType = script("peer_service")
    allowed = service.Allowed(ITEMS, pd.Index(["a", "b", "c"]))
    asked = service.Asked(
        user_id="u", filters=service.Filters(categories=categories), exclude=exclude
    )
    assert allowed.places(asked).tolist() == left


def test_ratios_are_theirs_by_ours(script) -> None:
    theirs = {"calm": {"p50_ms": 9.0, "p99_ms": 20.0}, "peak": {"held": 250}}
    ours = {"calm": {"p50_ms": 3.0, "p99_ms": 40.0}, "peak": {"held": 500}}
    found = script("peers").ratios(theirs, ours)
    assert found == {"p50_ms": 3.0, "p99_ms": 0.5, "held": 0.5}


def test_nothing_is_divided_by_nothing(script) -> None:
    steps = {"calm": {"p50_ms": 1.0, "p99_ms": 1.0}, "peak": {"held": 0}}
    assert script("peers").ratios(steps, steps)["held"] is None
