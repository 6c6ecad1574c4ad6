"""Tests of privacy mode: only pseudonyms are stored, and requests with a user id find the user."""

import hashlib
import hmac
import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs
from typer.testing import CliRunner

from benchmarks.robustness import servers
from flows.system import System
from recloop.cli.main import app as cli
from recloop.columns import Event
from recloop.config import ConfigError, Home
from recloop.data.catalogue import Catalogue
from recloop.data.erased_users import user_digest
from recloop.data.pseudonyms import KEY, KEY_FILE, NO_PSEUDONYMS, PLAIN_IDS, Pseudonyms
from recloop.registry.user_table import user_table
from recloop.registry.versions import Registry, UserIdsDifferError
from recloop.schemas.privacy import Export, Receipt
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.settings import read_settings
from recloop.stages import files
from recloop.stages import snapshot as stage
from recloop.store import user_id_scheme as naming
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from tests.support import faults, tiny_model

SECRET, OTHER_SECRET = "k" * 32, "another key, and a long one as well"
KEYED, OTHERWISE = Pseudonyms(SECRET.encode()), Pseudonyms(OTHER_SECRET.encode())
ANNA, BEN = "anna@example.org", "ben@example.org"
NOW = datetime(2024, 1, 1, tzinfo=UTC)
IDS_OF_ALL_KINDS = st.text(st.characters(codec="utf-8"), min_size=1)


@given(one=IDS_OF_ALL_KINDS, other=IDS_OF_ALL_KINDS)
def test_a_pseudonym_is_of_one_user_under_one_key(one: str, other: str) -> None:
    assert (
        Pseudonyms(SECRET.encode()).pseudonymise(one)
        == KEYED.pseudonymise(one)
        != OTHERWISE.pseudonymise(one)
    )
    assert (KEYED.pseudonymise(one) == KEYED.pseudonymise(other)) is (one == other)
    assert KEYED.pseudonymise_digest(user_digest(one)) == user_digest(KEYED.pseudonymise(one))
    assert NO_PSEUDONYMS.pseudonymise(one) == one


def test_a_pseudonym_can_be_worked_out_by_whoever_has_the_key() -> None:
    hashed = hashlib.sha256(ANNA.encode()).hexdigest()
    assert (
        KEYED.pseudonymise(ANNA) == hmac.new(b"k" * 32, hashed.encode(), "sha256").hexdigest()[:32]
    )
    assert SECRET not in f"{KEYED!r} {KEYED.scheme}"
    assert NO_PSEUDONYMS.scheme == PLAIN_IDS
    assert len({KEYED.scheme, OTHERWISE.scheme, PLAIN_IDS}) == 3


def test_the_key_comes_from_the_environment_or_a_file(monkeypatch, tmp_path) -> None:
    assert Pseudonyms.of_settings(read_settings()) == NO_PSEUDONYMS
    monkeypatch.setenv(KEY, SECRET)
    assert Pseudonyms.of_settings(read_settings()) == KEYED
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    with pytest.raises(ConfigError, match="both set"):
        Pseudonyms.of_settings(read_settings())
    monkeypatch.delenv(KEY)
    with pytest.raises(ConfigError, match="cannot read"):
        Pseudonyms.of_settings(read_settings())
    tmp_path.joinpath("key").write_text(f"{SECRET}\n")
    assert Pseudonyms.of_settings(read_settings()) == KEYED


@pytest.mark.parametrize("key", ["", "short", "x" * 31])
def test_a_key_that_protects_nothing_is_refused(monkeypatch, key) -> None:
    monkeypatch.setenv(KEY, key)
    with pytest.raises(ConfigError, match=f"{len(key)} bytes; it needs 32") as refused:
        Pseudonyms.of_settings(read_settings())
    assert "short" not in str(refused.value)


@pytest.fixture
def checkout(tmp_path, monkeypatch, payload) -> Path:
    """Return a folder with the user's own source outside the home; Anna met both eastern films."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    source = tmp_path / "source"
    source.mkdir()
    Path("params.yaml").write_text(f"snapshot: {{source: {{kind: csv, folder: {source}}}}}")
    payload.items.select("item_id", "title").write_csv(source / "items.csv")
    source.joinpath("interactions.csv").write_text(
        f"user_id,item_id,timestamp,name\n {ANNA} ,east1,100,{ANNA}\n{ANNA},east2,200,{ANNA}\n"
        f"{ANNA},north1,never,{ANNA}\n{BEN},north1,300,{BEN}\n"
    )
    return folder


def packaged(home: Home, payload, version: str) -> None:
    """Do what `make retrain` does: take a snapshot, package its users, register and promote."""
    stage.main()
    model, reference = Path("model"), files.empty_folder(Path("reference"))
    facts = files.read_json(files.SNAPSHOT_INFO)
    known = user_table(pl.read_parquet(files.INTERACTIONS), Catalogue(payload.items))
    config = payload.config.model_copy(update={"feedback_until": facts["feedback_until"]})
    replace(payload, config=config, users=known).save(files.empty_folder(model))
    lineage = tiny_model.LINEAGE.model_copy(update={"naming": facts["naming"]})
    Registry(home).register(version, model, reference, lineage)
    Registry(home).promote(version, [])


@pytest.fixture
def engine(checkout, home, payload, monkeypatch):
    """Return the engine of a service in privacy mode, with a model from a snapshot in that mode."""
    monkeypatch.setenv(KEY, SECRET)
    packaged(home, payload, "v1")
    store = EventStore.of(home)
    pseudonyms = naming.load_pseudonyms(store, read_settings())
    registry = Registry(home, pseudonyms.scheme)
    engine = Engine(registry, home.champion, store, poll_seconds=60)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def client(engine, home) -> TestClient:
    pseudonyms = naming.load_pseudonyms(EventStore.of(home), read_settings())
    return TestClient(create_app(engine, pseudonyms=pseudonyms))


def click(name: str, user: str, item: str) -> dict:
    event = {"event_id": name, "user_id": user, "item_id": item, "event": "click"}
    return event | {"timestamp": "2024-01-01T00:00:00Z"}


def ids(client: TestClient, user: str) -> set[str]:
    answer = client.post("/v1/recommend", json={"user_id": user})
    assert KEYED.pseudonymise(user) not in answer.text
    return {item["item_id"] for item in answer.json()["items"]}


def readable(*folders: Path) -> str:
    """Return everything in these folders as text: tables cell by cell, other files byte by byte."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return "\n".join(
        str(pl.read_parquet(path).rows())
        if path.suffix == ".parquet"
        else path.read_bytes().decode("latin-1")
        for path in paths
    )


def test_packaged_users_are_found_by_their_user_id(client) -> None:
    assert ids(client, ANNA) == {"north1", "north2", "both"}
    for path in ("/v1/popular", "/v1/items/north1/similar"):
        found = client.get(path, params={"user_id": ANNA}).text
        assert "north2" in found
        assert "east2" not in found
    assert client.post("/v1/events", json={"events": [click("e", ANNA, "both")]}).is_success
    assert ids(client, ANNA) == {"north1", "north2"}


def test_no_user_id_is_stored_and_no_pseudonym_is_returned(
    client, engine, checkout, home, payload
) -> None:
    with capture_logs() as lines:
        client.post("/v1/events", json={"events": [click("e", ANNA, "both")]})
        ids(client, ANNA)
        ids(client, "carla@example.org")
        client.post("/v1/events", json={"events": [click("f", BEN, "no such item")]})
        packaged(home, payload, "v2")
        answers = [client.get(f"/v1/users/{ANNA}/export").text]
        answers += [client.delete(f"/v1/users/{ANNA}").text, client.get("/metrics").text]
    engine.stop()
    held = readable(home.root, checkout)
    assert KEYED.pseudonymise(ANNA) in held
    assert pl.read_parquet(files.QUARANTINE)["reason"].to_list() == [
        "timestamp is missing or unreadable",
        "item is not in the catalogue",
    ]
    for secret in ("example.org", SECRET):
        assert secret not in held
        assert secret not in f"{lines} {answers[2]}"
    assert KEYED.pseudonymise(ANNA) not in f"{answers}"


def test_export_and_erasure_are_asked_for_by_id(client) -> None:
    client.post("/v1/events", json={"events": [click("e", ANNA, "both"), click("f", BEN, "both")]})
    ids(client, ANNA)
    found = Export.model_validate_json(client.get(f"/v1/users/{ANNA}/export").content)
    assert (found.user_id, found.events[0].user_id) == (ANNA, ANNA)
    assert [event.item_id for event in found.events] == ["both"]
    assert found.packaged is not None
    assert found.packaged.seen == ["east1", "east2"]
    receipt = Receipt.model_validate_json(client.delete(f"/v1/users/{ANNA}").content)
    assert (receipt.user_id, receipt.removed.events) == (ANNA, 1)
    assert {"east1", "east2", "both"} <= ids(client, ANNA)
    stage.main()
    assert pl.read_parquet(files.INTERACTIONS)["user_id"].to_list() == [KEYED.pseudonymise(BEN)] * 2
    assert files.read_json(files.SNAPSHOT_INFO)["erased"] == {"source": 3, "feedback": 0}


def test_the_command_line_does_the_same(client) -> None:
    client.post("/v1/events", json={"events": [click("e", ANNA, "both")]})
    run = CliRunner().invoke
    listed = run(cli, ["recommend", "--user", ANNA]).stdout
    assert "north2" in listed
    assert "east1" not in listed
    found = Export.model_validate_json(run(cli, ["export", ANNA]).stdout)
    assert found.packaged is not None
    assert (found.events[0].user_id, found.packaged.seen) == (ANNA, ["east1", "east2"])
    assert json.loads(run(cli, ["erase", ANNA]).stdout)["removed"]["events"] == 1


@pytest.mark.parametrize(
    ("key", "message"), [(OTHER_SECRET, "under another key"), (None, "set RECLOOP_PSEUDONYM_KEY")]
)
def test_another_key_and_none_are_refused(client, home, monkeypatch, key, message) -> None:
    monkeypatch.delenv(KEY) if key is None else monkeypatch.setenv(KEY, key)
    with pytest.raises(naming.UserIdSchemeError, match=message) as refused:
        stage.main()
    for secret in (SECRET, OTHER_SECRET):
        assert secret not in str(refused.value)
    for command in (["export", ANNA], ["erase", ANNA], ["recommend"], ["promote", "v1"]):
        ended = CliRunner().invoke(cli, command)
        assert ended.exit_code == 1
        assert message.split()[-1] in ended.stderr
    with pytest.raises(UserIdsDifferError, match="v1 knows users as hmac-sha256"):
        Registry(home, Pseudonyms.of_settings(read_settings()).scheme).load("v1")


def test_a_store_is_claimed_once(tmp_path) -> None:
    store = EventStore.at(tmp_path / "new.db")
    naming.check_user_id_scheme(store, KEYED)
    naming.check_user_id_scheme(store, KEYED)
    for other in (OTHERWISE, NO_PSEUDONYMS):
        with pytest.raises(naming.UserIdSchemeError):
            naming.check_user_id_scheme(store, other)
    store.close()


def test_a_store_from_before_the_mode_holds_ids(tmp_path) -> None:
    store = EventStore.at(tmp_path / "old.db")
    store.append([StoredEvent("e", ANNA, "both", NOW, Event.CLICK)])
    with pytest.raises(naming.UserIdSchemeError, match="call `recloop pseudonymise`"):
        naming.check_user_id_scheme(store, KEYED)
    naming.check_user_id_scheme(store, NO_PSEUDONYMS)
    store.close()


def test_stored_user_ids_are_replaced_by_pseudonyms(checkout, home, payload, monkeypatch) -> None:
    packaged(home, payload, "v1")
    store = EventStore.of(home)
    store.append(StoredEvent(str(n), ANNA, "both", NOW, Event.CLICK) for n in range(100))
    shown = ServedList("r", ANNA, NOW, "v1", "champion", ["both"], [1.0], [1.0])
    store.append_served([shown, replace(shown, request_id="s", user_id=None)])
    store.personal.erase(BEN, datetime.now(UTC))
    run = CliRunner().invoke
    assert "no pseudonyms without a key" in run(cli, ["pseudonymise"]).stderr
    monkeypatch.setenv(KEY, SECRET)
    assert "v1" in run(cli, ["pseudonymise"]).stdout
    assert "holds pseudonyms already" in run(cli, ["pseudonymise"]).stderr
    assert store.events()["user_id"].unique().to_list() == [KEYED.pseudonymise(ANNA)]
    assert store.served()["user_id"].to_list() == [KEYED.pseudonymise(ANNA), None]
    assert store.personal.last_erasure(KEYED.pseudonymise(BEN)) > 0
    store.close()
    database = b"".join(path.read_bytes() for path in home.root.glob("events.db*"))
    assert b"example.org" not in database
    assert Registry(home).champion() is None
    with pytest.raises(UserIdsDifferError):
        Registry(home, KEYED.scheme).promote("v1", [])
    packaged(home, payload, "v2")
    assert BEN not in readable(checkout)
    assert pl.read_parquet(files.INTERACTIONS)["user_id"].unique().to_list() == [
        KEYED.pseudonymise(ANNA)
    ]
    assert Registry(home, KEYED.scheme).load("v2").histories.get(
        KEYED.pseudonymise(ANNA)
    ).seen.tolist() == [
        0,
        1,
        4,
    ]


def test_user_ids_are_replaced_in_one_transaction(tmp_path) -> None:
    path = tmp_path / "old.db"
    store = EventStore.at(path)
    store.append([StoredEvent("e", ANNA, "both", NOW, Event.CLICK)])
    store.append_served([ServedList("r", BEN, NOW, "v1", "a", ["both"], [1.0], [1.0])])
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON served BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(IntegrityError, match="no"):
        naming.pseudonymise(store, KEYED)
    assert store.events()["user_id"].to_list() == [ANNA]
    naming.check_user_id_scheme(store, NO_PSEUDONYMS)
    store.close()


def test_a_system_with_another_key_says_so_before_it_starts_anything(
    client, home, monkeypatch
) -> None:
    monkeypatch.setenv(KEY, OTHER_SECRET)
    with (
        pytest.raises(naming.UserIdSchemeError, match="under another key"),
        System.running(read_settings()),
    ):
        pass


@pytest.mark.system
def test_the_real_service_stores_pseudonyms(tmp_path) -> None:
    home = servers.packaged(tmp_path)
    registry = Registry(home)
    lineage = tiny_model.LINEAGE.model_copy(update={"naming": KEYED.scheme})
    registry.register("v2", tmp_path / "model", tmp_path / "reference", lineage)
    registry.promote("v2", [])
    service = servers.Replica(home, extra=servers.NO_DEADLINE | {KEY: SECRET}, workers=1)
    try:
        service.start()
        body = {"events": [click("e", ANNA, "east1")]}
        httpx.post(f"{service.address}/v1/events", json=body).raise_for_status()
        answer = httpx.post(f"{service.address}/v1/recommend", json={"user_id": ANNA})
        assert "east1" not in answer.raise_for_status().text
        found = httpx.get(f"{service.address}/v1/users/{ANNA}/export").json()
        assert [event["item_id"] for event in found["events"]] == ["east1"]
    finally:
        service.stop()
    held = readable(home.root)
    assert KEYED.pseudonymise(ANNA) in held
    assert "example.org" not in held


def test_every_place_of_the_api_that_names_a_user_is_tested_here(tmp_path) -> None:
    engine = faults.engine(tmp_path)
    contract = json.dumps(create_app(engine).openapi()["paths"])
    engine.store.close()
    named = json.loads(contract)
    found = {
        f"{method} {path}"
        for path, operations in named.items()
        for method, operation in operations.items()
        if "user_id" in json.dumps(operation)
        or "Recommend" in json.dumps(operation)
        or "Events" in json.dumps(operation)
    }
    assert found == {
        "post /v1/recommend",
        "post /v1/events",
        "get /v1/popular",
        "get /v1/items/{item_id}/similar",
        "delete /v1/users/{user_id}",
        "get /v1/users/{user_id}/export",
    }
