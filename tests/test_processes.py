"""Ports and child processes of a system."""

import json
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from flows.processes import Children, PortTakenError, StartError, free_port
from flows.server import PrefectServer
from flows.shell import CommandError, end_tree, environment, run

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_taken_port_is_avoided_unless_it_was_asked_for(taken, monkeypatch) -> None:
    assert free_port(taken, "RECLOOP_TEST_PORT") != taken
    monkeypatch.setenv("RECLOOP_TEST_PORT", str(taken))
    with pytest.raises(PortTakenError, match="RECLOOP_TEST_PORT"):
        free_port(1, "RECLOOP_TEST_PORT")


@pytest.fixture
def children(tmp_path):
    children = Children(tmp_path / "children.json", tmp_path / "logs")
    yield children
    children.stop()


def test_children_are_stopped_with_what_they_started(children, tmp_path) -> None:
    spawn = f"import subprocess; subprocess.run({SLEEPER!r})"
    children.start("parent", [sys.executable, "-c", spawn], {}, cwd=tmp_path)
    parent = psutil.Process(children.running["parent"].pid)
    children.wait_until("parent", parent.children, 10)
    tree = [parent, *parent.children()]
    children.stop()
    assert not any(process.is_running() for process in tree)
    assert not children.record.exists()


def test_a_child_that_ends_while_starting_is_told_with_its_log(children, tmp_path) -> None:
    children.start("bad", [sys.executable, "-c", "raise SystemExit('no luck')"], {}, cwd=tmp_path)
    with pytest.raises(StartError, match="no luck"):
        children.wait_until("bad", lambda: False, 10)
    assert children.dead() == ["bad"]


def test_a_child_that_is_never_ready_is_told(children, tmp_path) -> None:
    children.start("slow", SLEEPER, {}, cwd=tmp_path)
    with pytest.raises(StartError, match="not ready"):
        children.wait_until("slow", lambda: False, 0.5)


def test_orphans_of_a_killed_system_are_ended_and_strangers_are_not(children, tmp_path) -> None:
    children.start("orphan", SLEEPER, {}, cwd=tmp_path)
    orphan = children.running.pop("orphan")
    stranger = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    record = json.loads(children.record.read_text())
    record["reused"] = (stranger.pid, psutil.Process(stranger.pid).create_time() - 1000)
    children.record.write_text(json.dumps(record))
    Children(children.record, children.logs).end_orphans()
    assert orphan.wait(10) is not None
    assert stranger.poll() is None
    end_tree(stranger.pid, signal.SIGTERM)
    end_tree(stranger.pid, signal.SIGTERM)  # gone already: no error
    stranger.wait(5)


def test_a_command_says_what_went_wrong(tmp_path) -> None:
    assert run([sys.executable, "-c", "print('fine')"], tmp_path).strip() == "fine"
    with pytest.raises(CommandError, match="broken"):
        run([sys.executable, "-c", "raise SystemExit('broken')"], tmp_path)
    log = tmp_path / "logs" / "x.log"
    run([sys.executable, "-c", "print('one')"], tmp_path, log)
    assert run([sys.executable, "-c", "print('two')"], tmp_path, log).strip() == "two"
    assert log.read_text().split() == ["one", "two"]


def test_telemetry_is_off_unless_the_user_turns_it_on(monkeypatch) -> None:
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert environment()["DO_NOT_TRACK"] == "1"
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    assert environment()["DO_NOT_TRACK"] == "0"


def test_a_busy_server_is_asked_again_and_starts_a_run_once() -> None:
    keys: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def answer(self, code: int) -> None:
            body = b'{"id": "1"}'
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(200)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            keys.append(asked["idempotency_key"])
            self.answer(201 if len(keys) > 1 else 503)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert PrefectServer(f"http://127.0.0.1:{server.server_port}").start("a/b") == "1"
        server.shutdown()
    assert len(keys) == 2
    assert len(set(keys)) == 1
