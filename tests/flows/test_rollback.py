"""Tests of the rollback: from served lists and clicks in the store to the model that answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from flows import monitor_tasks as tasks
from flows.results import RollbackResult
from recloop.columns import Event
from recloop.config import Home
from recloop.decisions import RollbackRules, VersionClicks
from recloop.registry.manifest import Lineage
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore, ServedList, StoredEvent

NOW = datetime(2024, 3, 1, tzinfo=UTC)
LISTS = 1_000


@pytest.fixture
def registry(home: Home, payload: Payload, tmp_path: Path) -> Registry:
    """Two versions of one model; v2 is the champion and v1 was the champion before it."""
    model, reference = tmp_path / "model", tmp_path / "reference"
    model.mkdir()
    reference.mkdir()
    payload.save(model)
    for name in ("interactions", "scores"):
        payload.items.write_parquet(reference / f"{name}.parquet")
    registry = Registry(home)
    for version in ("v1", "v2"):
        lineage = Lineage(
            git_commit="c0ffee",
            git_ref=f"recloop/{version}",
            data_version="data.dir",
            model_hash=version,
            validation={"passed": True},
            metrics={},
            params={},
        )
        registry.register(version, model, reference, lineage)
        registry.promote(version, ["better"])
    return registry


def serve(home: Home, version: str, clicked: int) -> None:
    """Store 1,000 lists that a version served, and a click on each of the first `clicked`."""
    names = [f"{version}-{number}" for number in range(LISTS)]
    lists = [
        ServedList(name, None, NOW, version, "champion", ["east1"], [1.0], [1.0]) for name in names
    ]
    clicks = [
        StoredEvent(name, "eve", "east1", NOW, Event.CLICK, request_id=name)
        for name in names[:clicked]
    ]
    store = EventStore.of(home)
    assert store.append_served(lists) == LISTS
    assert store.append(clicks) == clicked
    store.close()


def monitor_clicks(home: Home) -> tuple[dict[str, VersionClicks], RollbackResult]:
    """Run the tasks of the monitor flow that decide about a rollback."""
    monitored = tasks.load_input.fn(home)
    assert monitored is not None
    clicks = tasks.count_clicks.fn(monitored)
    return clicks, tasks.roll_back_if_worse.fn(home, clicks, RollbackRules())


@pytest.fixture
def served_version(home: Home, registry: Registry) -> Callable[[], str]:
    """Return the version that answers a request, after the service has looked for the champion."""
    engine = Engine(registry, home.champion, EventStore.of(home), poll_seconds=60)
    client = TestClient(create_app(engine))

    def ask() -> str:
        engine.refresh()
        answer = client.post("/v1/recommend", json={}).raise_for_status().json()
        return str(answer["model_version"])

    return ask


def test_a_champion_with_half_the_clicks_is_replaced_by_the_version_before_it(
    home: Home, registry: Registry, served_version: Callable[[], str]
) -> None:
    assert served_version() == "v2"
    serve(home, "v1", clicked=200)
    serve(home, "v2", clicked=100)
    clicks, result = monitor_clicks(home)
    assert clicks == {
        "v1": VersionClicks("v1", LISTS, 200),
        "v2": VersionClicks("v2", LISTS, 100),
    }
    assert result.rolled_back
    champion = registry.champion()
    assert champion is not None
    assert (champion.version, champion.previous) == ("v1", "v2")
    assert champion.reasons == ("rolled back", *result.reasons)
    assert served_version() == "v1"


@pytest.mark.parametrize("champion_clicks", [199, 200, 300])
def test_a_champion_that_is_not_clearly_worse_stays(
    home: Home, registry: Registry, served_version: Callable[[], str], champion_clicks: int
) -> None:
    before = registry.champion()
    serve(home, "v1", clicked=200)
    serve(home, "v2", clicked=champion_clicks)
    assert not monitor_clicks(home)[1].rolled_back
    assert registry.champion() == before
    assert served_version() == "v2"


def test_a_champion_that_has_served_nothing_stays(home: Home, registry: Registry) -> None:
    serve(home, "v1", clicked=200)
    _, result = monitor_clicks(home)
    assert result == RollbackResult(
        rolled_back=False, reasons=["the champion has served no list yet"]
    )
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "v2"
