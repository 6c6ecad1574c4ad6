"""Erasure and export over HTTP and on the command line, and the retention flow."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from flows.retain import delete_expired, describe
from recloop.cli.main import app as cli
from recloop.columns import Event
from recloop.registry.versions import Registry
from recloop.schemas.privacy import Export, Receipt
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from recloop.store.retention import ExpiredRows, Retention
from tests.support import tiny_model

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def register(home, payload, tmp_path):
    """Return a function that registers a version with all events up to a number."""
    reference = tmp_path / "reference"
    reference.mkdir()
    registry = Registry(home)

    def register(version: str, until: int = 0) -> Registry:
        model = tmp_path / version
        model.mkdir()
        config = payload.config.model_copy(update={"feedback_until": until})
        replace(payload, config=config).save(model)
        registry.register(version, model, reference, tiny_model.LINEAGE)
        registry.promote(version, [])
        return registry

    return register


@pytest.fixture
def workers(home, register):
    """Return two engines over one home."""
    registry = register("v1")
    engines = [
        Engine(registry, home.champion, EventStore.at(home.events), poll_seconds=60)
        for _ in range(2)
    ]
    for engine in engines:
        engine.start()
    yield engines
    for engine in engines:
        engine.stop()


@pytest.fixture
def clients(workers) -> list[TestClient]:
    return [TestClient(create_app(engine)) for engine in workers]


def erase(client: TestClient, user: str) -> Receipt:
    answer = client.delete(f"/v1/users/{quote(user, safe='')}")
    assert answer.status_code == 200, answer.text
    return Receipt.model_validate_json(answer.content)


def export(client: TestClient, user: str) -> Export:
    answer = client.get(f"/v1/users/{quote(user, safe='')}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return Export.model_validate_json(answer.content)


def send(client: TestClient, name: str, user: str, item: str) -> None:
    event = {"event_id": name, "user_id": user, "item_id": item, "event": "click"}
    event["timestamp"] = "2024-01-01T00:00:00Z"
    answer = client.post("/v1/events", json={"events": [event]})
    assert answer.json() == {"accepted": 1, "duplicates": 0}


def ids(client: TestClient, user: str) -> list[str]:
    answer = client.post("/v1/recommend", json={"user_id": user})
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def test_after_an_erasure_no_worker_uses_the_users_data(clients) -> None:
    one, other = clients
    send(one, "e1", "eve", "north1")
    assert not {"east1", "north1"} & set(ids(other, "eve"))  # packaged, and sent
    receipt = erase(one, "eve")
    assert ids(other, "eve") == ids(one, "eve") == ids(one, "somebody new")
    assert receipt.removed.events == 1
    assert receipt.serving_model == "v1"
    assert receipt.models_trained_before == ["v1"]
    assert "Snapshots taken from now on leave out" in receipt.statement


def test_events_after_the_erasure_are_used(clients) -> None:
    one, other = clients
    erase(one, "eve")
    send(other, "e1", "eve", "north1")
    found = ids(one, "eve")
    assert found[0] == "north2"
    assert "east1" in found
    assert [event.item_id for event in export(one, "eve").events] == ["north1"]


def test_a_model_packaged_after_the_erasure_is_used_again(clients, workers, register) -> None:
    seq = workers[0].store.personal.erase("eve", NOW).seq
    for version, until, used in (("v2", seq - 1, False), ("v3", seq, True)):
        register(version, until)
        for engine in workers:
            engine.refresh()
        assert ("east1" not in ids(clients[0], "eve")) is used
        packaged = export(clients[1], "eve").packaged
        assert packaged is not None
        assert bool(packaged.history) is used
    assert erase(clients[0], "eve").models_trained_before == ["v1", "v2", "v3"]
    assert "east1" in ids(clients[1], "eve")


def test_erasing_again_or_an_unknown_user_is_allowed(clients) -> None:
    client = clients[0]
    send(client, "e1", "adam", "east1")
    assert erase(client, "adam").removed.events == 1
    again, nobody = erase(client, "adam"), erase(client, "nobody")
    assert again.removed.events == again.removed.served_lists == nobody.removed.events == 0
    assert nobody.models_trained_before == ["v1"]


def test_a_list_served_before_the_erasure_is_not_stored_after_it(clients, workers, home) -> None:
    one, other = clients
    for _ in range(20):
        ids(one, "eve")
    erase(other, "eve")
    ids(one, "adam")
    for engine in workers:
        engine.stop()
    assert EventStore.at(home.events).served()["user_id"].to_list() == ["adam"]


@pytest.mark.parametrize("user", ["a/b", "a b", "50%", "ünï ☃", "x/export", "?#&", "' OR 1=1"])
def test_ids_with_special_characters_are_erased_and_exported(clients, user) -> None:
    client = clients[0]
    send(client, "mine", user, "east1")
    send(client, "theirs", "somebody", "east1")
    assert [event.event_id for event in export(client, user).events] == ["mine"]
    assert erase(client, user).user_id == user
    assert export(client, user).events == []
    assert len(export(client, "somebody").events) == 1


@pytest.mark.parametrize("user", ["a%00b", "x" * 257, ""])
@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_invalid_ids_are_refused(clients, user, method) -> None:
    path = f"/v1/users/{user}" + ("/export" if method == "GET" else "")
    answer = clients[0].request(method, path)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"


def test_the_export_contains_all_data(clients, workers) -> None:
    client = clients[0]
    stored = StoredEvent("e", "eve", "both", NOW, Event.RATING, 4.5, "q", "s", "r")
    shown = ServedList("r", "eve", NOW, "v1", "champion", ["east2"], [2.0], [1.0])
    workers[1].store.append([stored, replace(stored, event_id="f", user_id="adam")])
    workers[1].store.append_served([shown, replace(shown, request_id="t", user_id=None)])
    found = export(client, "eve").model_dump(
        exclude={"exported_at": True, "events": {0: {"received"}}}
    )
    assert found == {
        "user_id": "eve",
        "erased_at": None,
        "packaged": {
            "model_version": "v1",
            "history": [
                {
                    "item_id": "east1",
                    "timestamp": datetime(1970, 1, 1, 0, 1, 40, tzinfo=UTC),
                    "event": "click",
                }
            ],
            "seen": ["east1"],
        },
        "events": [vars(stored)],
        "served_lists": [{name: value for name, value in vars(shown).items() if name != "erasure"}],
    }
    receipt = erase(client, "eve")
    assert (receipt.removed.events, receipt.removed.served_lists) == (1, 1)
    after = export(client, "eve")
    assert after.erased_at == receipt.erased_at
    assert after.packaged is not None
    held = (after.packaged.history, after.packaged.seen, after.events, after.served_lists)
    assert held == ([], [], [], [])


def test_a_long_history_is_exported_completely_and_in_order(clients, workers) -> None:
    names = [f"e{number}" for number in range(1_234)]
    workers[0].store.append(StoredEvent(name, "eve", "both", NOW, Event.CLICK) for name in names)
    assert [event.event_id for event in export(clients[1], "eve").events] == names


def test_without_a_model_there_is_still_an_export_and_a_receipt(home) -> None:
    engine = Engine(Registry(home), home.champion, EventStore.at(home.events), poll_seconds=60)
    client = TestClient(create_app(engine))
    assert export(client, "eve").packaged is None
    receipt = erase(client, "eve")
    assert (receipt.serving_model, receipt.models_trained_before) == (None, [])


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [("DELETE", "/v1/users/eve", "erase"), ("GET", "/v1/users/eve/export", "erased_at")],
)
def test_a_store_failure_is_a_503(clients, workers, monkeypatch, method, path, operation) -> None:
    def fail(*_: object):
        raise OperationalError("delete", {}, Exception("locked"))

    monkeypatch.setattr(workers[0].store.personal, operation, fail)
    answer = clients[0].request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


def test_the_commands_erase_and_export(home, register) -> None:
    register("v1")
    EventStore.at(home.events).append([StoredEvent("e", "eve", "both", NOW, Event.CLICK)])
    run = CliRunner().invoke
    before = Export.model_validate_json(run(cli, ["export", "eve"]).stdout)
    assert [event.item_id for event in before.events] == ["both"]
    assert before.packaged is not None
    assert before.packaged.seen == ["east1"]
    receipt = Receipt.model_validate_json(run(cli, ["erase", "eve"]).stdout)
    assert (receipt.removed.events, receipt.serving_model) == (1, "v1")
    after = Export.model_validate_json(run(cli, ["export", "eve"]).stdout)
    assert after.packaged is not None
    assert (after.events, after.packaged.seen) == ([], [])
    assert "east1" in run(cli, ["recommend", "--user", "eve"]).stdout


def test_a_damaged_model_does_not_prevent_an_erasure(home, register) -> None:
    registry = register("v1")
    registry.path("v1").joinpath("model", "model.json").write_text("{}")
    run = CliRunner().invoke
    refused = run(cli, ["export", "eve"])
    assert refused.exit_code == 1
    assert "model.json" in refused.stderr
    assert json.loads(run(cli, ["erase", "eve"]).stdout)["models_trained_before"] == ["v1"]


def test_the_retention_flow_deletes_rows_and_returns_their_numbers(home) -> None:
    old = datetime.now(UTC) - timedelta(days=31)
    store = EventStore.at(home.events)
    store.append_served([ServedList("r", "u", old, "v1", "champion", ["i"], [1.0], [1.0])])
    rules = Retention(served_days=30)
    expired = delete_expired.fn(home, rules)
    assert expired == ExpiredRows(0, 1)
    assert store.served().height == 0
    assert describe(expired, rules) == [
        "events: kept for ever",
        "served lists: 1 older than 30 days deleted",
    ]
