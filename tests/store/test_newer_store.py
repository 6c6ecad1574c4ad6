"""A store that a newer version has upgraded is refused with a sentence, wherever it is opened."""

import json
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from benchmarks.robustness import servers
from flows import run
from flows.processes import StartError
from flows.system import System
from recloop.cli.main import app
from recloop.config import Home
from recloop.serving.build import build_service
from recloop.settings import read_settings
from recloop.store.api_keys import KeyStore
from recloop.store.event_store import EventStore
from recloop.store.schema_version import StoreSchemaError

REASON = "a newer version of recloop has upgraded this store"


def make_newer(home: Home) -> None:
    """Give both stores of a home a revision that this version does not know."""
    EventStore.of(home).close()
    KeyStore.at(home.keys)
    for path in (home.events, home.keys):
        with closing(sqlite3.connect(path)) as file:
            file.execute("UPDATE alembic_version SET version_num = 'later'")
            file.commit()


@pytest.fixture
def newer(home) -> Home:
    make_newer(home)
    return home


@pytest.mark.parametrize(
    "words",
    [
        ["promote", "v1"],
        ["recommend"],
        ["erase", "eve"],
        ["export", "eve"],
        ["pseudonymise"],
        ["off-policy", "--arm", "a"],
        ["keys", "list"],
        ["keys", "create", "shop", "--scope", "ingest"],
        ["keys", "revoke", "some"],
    ],
    ids=" ".join,
)
def test_the_commands_print_the_reason(newer, words) -> None:
    done = CliRunner().invoke(app, words, env={"COLUMNS": "400"})
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert REASON in done.output


def test_a_system_does_not_start(newer, tmp_path, monkeypatch) -> None:
    with pytest.raises(StoreSchemaError, match=REASON), System.running(read_settings()):
        pass
    monkeypatch.setattr(run, "REPORT", tmp_path / "run.json")
    assert run.main() == 1
    assert REASON in json.loads(run.REPORT.read_text())["error"]


@pytest.mark.parametrize("auth", ["off", "keys"])
def test_newer_api_keys_are_refused_if_keys_are_required(home, monkeypatch, auth) -> None:
    make_newer(home)
    home.events.unlink()  # the service creates a new one
    monkeypatch.setenv("RECLOOP_AUTH", auth)
    if auth == "keys":
        with pytest.raises(StoreSchemaError, match=REASON):
            build_service()
        with pytest.raises(StoreSchemaError, match=REASON), System.running(read_settings()):
            pass
    else:
        engine, _ = build_service()
        engine.stop()


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_service_logs_the_reason_and_ends(tmp_path) -> None:
    home = servers.packaged(tmp_path)
    make_newer(home)
    replica = servers.Replica(home)
    with pytest.raises(StartError, match="ended while starting"):
        replica.start()
    replica.stop()
    text = (home.logs / "replica.log").read_text("utf-8")
    assert REASON in text
    assert "Traceback" not in text
