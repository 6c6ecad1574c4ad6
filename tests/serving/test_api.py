"""HTTP API over a real engine, registry and event store, without a network."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from recloop.registry.champion import write_champion
from recloop.registry.manifest import PAYLOAD
from recloop.registry.versions import Registry
from recloop.serving.app import MAX_BODY_BYTES, create_app
from recloop.serving.engine import Engine
from recloop.serving.middleware.control_characters import PAGES
from recloop.store.event_store import EventStore
from tests.support import faults, tiny_model


@pytest.fixture
def registry(home, payload, tmp_path) -> Registry:
    model, reference = tmp_path / "model", tmp_path / "reference"
    model.mkdir()
    reference.mkdir()
    payload.save(model)
    registry = Registry(home)
    for version in ("v1", "v2"):
        registry.register(version, model, reference, tiny_model.LINEAGE)
    return registry


@pytest.fixture
def engine(home, registry):
    registry.promote("v1", [])
    engine = Engine(registry, home.champion, EventStore.at(home.events), poll_seconds=0.01)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def client(engine) -> TestClient:
    return TestClient(create_app(engine))


def event(name: str = "e1", **changes: object) -> dict[str, object]:
    facts = {
        "event_id": name,
        "user_id": "adam",
        "item_id": "east1",
        "timestamp": "2024-01-01T00:00:00Z",
        "event": "click",
    }
    return {**facts, **changes}


def post(client: TestClient, *events: dict[str, object]):
    return client.post("/v1/events", json={"events": list(events)})


def recommend(client: TestClient, **body: object) -> dict:
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_an_event_changes_the_next_list(client) -> None:
    assert ids(recommend(client, user_id="adam"))[0] == "east1"
    assert post(client, event(item_id="north1")).json() == {"accepted": 1, "duplicates": 0}
    assert ids(recommend(client, user_id="adam"))[0] == "north2"


def test_a_session_changes_the_list_and_is_not_stored(client) -> None:
    session = [{"item_id": "north1"}]
    assert ids(recommend(client, user_id="adam", history=session))[0] == "north2"
    assert ids(recommend(client, user_id="adam"))[0] == "east1"


def test_a_response_is_stored_and_explained(client, engine, home) -> None:
    answer = recommend(client, user_id="eve", k=2, explain=True)
    assert answer["model_version"] == "v1"
    assert [item["position"] for item in answer["items"]] == [1, 2]
    assert {"sasrec", "popularity"} <= answer["items"][0]["reasons"].keys()
    engine.stop()
    (row,) = EventStore.at(home.events).served().rows(named=True)
    assert row["request_id"] == answer["request_id"]
    assert row["items"] == ids(answer)


def test_filters_and_exclusions_hold(client) -> None:
    answer = recommend(client, filters={"categories": ["north"]}, exclude=["north1"])
    assert ids(answer) == ["north2"]


def test_an_event_that_is_sent_twice_is_stored_once(client) -> None:
    assert post(client, event(), event()).json() == {"accepted": 1, "duplicates": 1}
    assert post(client, event()).json() == {"accepted": 0, "duplicates": 1}


def test_a_promoted_model_is_loaded_while_serving(client, registry) -> None:
    registry.promote("v2", [])
    deadline = time.monotonic() + 10
    while recommend(client)["model_version"] != "v2":
        assert time.monotonic() < deadline


def test_a_damaged_model_is_refused_and_the_old_one_stays(client, engine, home, registry) -> None:
    registry.path("v2").joinpath(PAYLOAD, "model.json").write_text("{}")
    write_champion(home.champion, "v2", ["a promotion that did not verify"])
    engine.refresh()
    assert recommend(client)["model_version"] == "v1"


def test_without_a_model_the_response_is_503(home, registry) -> None:
    engine = Engine(registry, home.champion, EventStore.at(home.events), poll_seconds=60)
    answer = TestClient(create_app(engine)).post("/v1/recommend", json={})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "no_model"


FUTURE = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("recommend", {"k": 0}, "k"),
        ("recommend", {"k": 101}, "k"),
        ("recommend", {"kk": 1}, "kk"),
        ("recommend", {"user_id": ""}, "user_id"),
        ("recommend", {"user_id": "a\u0000b"}, "user_id"),
        ("recommend", {"user_id": 5}, "user_id"),
        ("recommend", {"query": "x" * 1001}, "query"),
        ("recommend", {"history": [{"item_id": "a", "event": "stare"}]}, "event"),
        ("events", {"events": []}, "events"),
        ("events", {"events": [event(timestamp=FUTURE)]}, "timestamp"),
        ("events", {"events": [event(timestamp="2024-01-01T00:00:00")]}, "timestamp"),
        ("events", {"events": [event(), event("e2", event="stare")]}, "events.1.event"),
        ("events", {"events": [event(str(n)) for n in range(1001)]}, "events"),
    ],
)
def test_invalid_input_is_refused_with_its_field_and_not_stored(
    client, home, path, body, where
) -> None:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert where in " ".join(error["details"])
    assert EventStore.at(home.events).events().height == 0


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 5_000])
def test_a_body_that_is_not_json_is_a_400(client, body) -> None:
    answer = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_nan_and_infinity_are_refused(client, value) -> None:
    text = json.dumps({"events": [event(value=0)]}).replace('"value": 0', f'"value": {value}')
    headers = {"content-type": "application/json"}
    assert client.post("/v1/events", content=text, headers=headers).status_code in {400, 422}


def test_large_bodies_and_other_paths_are_refused(client) -> None:
    unsized = client.post("/v1/events", content=iter([b"{}"]))
    assert (unsized.status_code, unsized.json()["error"]["code"]) == (411, "length_required")
    large = client.post("/v1/events", content=b" " * (MAX_BODY_BYTES + 1))
    assert large.status_code == 413
    assert large.json()["error"]["code"] == "body_too_large"
    for digits, status in ((b"9" * 5_000, 413), (b"0" * 5_000 + b"2", 200)):
        lengths = {"content-length": digits, "content-type": "application/json"}
        sent = client.post("/v1/recommend", content=b"{}", headers=lengths)
        assert sent.status_code == status, digits[:3]
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/v1/recommend").status_code == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["user_id", "history", "query", "context", "k", "filters", "exclude", "explain"]
)


@given(body=JSON | st.dictionaries(FIELDS, JSON, max_size=4))
def test_no_json_body_causes_a_server_error(hostile_client, body) -> None:
    text = json.dumps(body)
    headers = {"content-type": "application/json"}
    answer = hostile_client.post("/v1/recommend", content=text, headers=headers)
    assert answer.status_code in {200, 400, 422}


@pytest.fixture(scope="module")
def hostile_client(payload, tmp_path_factory):
    pointer = tmp_path_factory.mktemp("hostile") / "champion.json"
    write_champion(pointer, "v1", [])
    store = EventStore.at(pointer.with_name("events.db"))
    engine = Engine(faults.Models(payload.recommender()), pointer, store, poll_seconds=60)
    engine.refresh()
    return TestClient(create_app(engine))


def test_the_docs_page_loads_no_external_files(client) -> None:
    page = client.get("/docs").text
    assert "/static_content/swagger-ui-bundle.js" in page
    assert "https://" not in page
    assert client.get("/").status_code == 200


def test_the_openapi_document_has_the_errors(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    users = {"/v1/users/{user_id}", "/v1/users/{user_id}/export"}
    items = {"/v1/items", "/v1/popular", "/v1/items/{item_id}", "/v1/items/{item_id}/similar"}
    assert {"/v1/recommend", "/v1/events", *users, *items} == set(paths)
    for operations in paths.values():
        for operation in operations.values():
            assert {"200", "400", "413", "422", "503"} <= operation["responses"].keys()


def test_store_failures_and_internal_errors_have_the_same_form(engine, monkeypatch) -> None:
    client = TestClient(create_app(engine), raise_server_exceptions=False)

    def fail(error: Exception):
        def raise_it(_events):
            raise error

        return raise_it

    monkeypatch.setattr(engine, "ingest", fail(OperationalError("insert", {}, Exception("locked"))))
    down = post(client, event())
    assert (down.status_code, down.json()["error"]["code"]) == (503, "store_unavailable")
    monkeypatch.setattr(engine, "ingest", fail(RuntimeError("secret detail")))
    broken = post(client, event())
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in broken.text


def test_a_refused_model_is_tried_again_when_it_is_promoted_again(
    client, engine, home, registry
) -> None:
    path = registry.path("v2") / PAYLOAD / "model.json"
    good = path.read_bytes()
    path.write_text("{}")
    write_champion(home.champion, "v2", [])
    engine.refresh()
    assert recommend(client)["model_version"] == "v1"
    path.write_bytes(good)
    registry.promote("v2", [])
    engine.refresh()
    assert recommend(client)["model_version"] == "v2"


def test_the_service_routes_every_path_of_the_api(engine) -> None:
    paths = {route.path for route in create_app(engine).routes if hasattr(route, "path")}
    assert {path for path in paths if not path.startswith("/v1/")} == set(PAGES)
