"""Tests of ports and child processes of a system."""

import json
import signal
import socket
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest

from flows.processes import Patience, PortTakenError, ProcessGroup, StartError, free_port
from flows.server import PrefectServer
from flows.shell import CommandError, child_environment, run, stop_process_tree
from flows.system import Addresses
from recloop.settings import read_settings

RUN = "00000000-0000-0000-0000-000000000001"
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_taken_port_is_avoided_unless_it_was_asked_for(taken, monkeypatch) -> None:
    assert free_port(taken) != taken
    with pytest.raises(PortTakenError, match=f"port {taken} is in use"):
        free_port(1, taken)
    monkeypatch.setenv("RECLOOP_SERVICE_PORT", str(taken))
    with pytest.raises(PortTakenError, match=f"RECLOOP_SERVICE_PORT: port {taken} is in use"):
        Addresses.choose(read_settings())


@pytest.fixture
def children(tmp_path):
    children = ProcessGroup(tmp_path / "children.json", tmp_path / "logs")
    yield children
    children.stop()


def test_children_are_stopped_with_what_they_started(children, tmp_path) -> None:
    spawn = f"import subprocess; subprocess.run({SLEEPER!r})"
    children.start("parent", [sys.executable, "-c", spawn], {}, cwd=tmp_path)
    parent = psutil.Process(children.processes["parent"].pid)
    children.wait_until("parent", parent.children, 10)
    tree = [parent, *parent.children()]
    children.stop()
    assert not any(process.is_running() for process in tree)
    assert not children.record.exists()


def test_a_child_that_ends_while_starting_is_an_error_with_its_log(children, tmp_path) -> None:
    children.start("bad", [sys.executable, "-c", "raise SystemExit('no luck')"], {}, cwd=tmp_path)
    with pytest.raises(StartError, match="no luck"):
        children.wait_until("bad", lambda: False, 10)
    assert children.ended() == ["bad"]


def test_a_child_that_is_never_ready_is_an_error(children, tmp_path) -> None:
    children.start("slow", SLEEPER, {}, cwd=tmp_path)
    with pytest.raises(StartError, match="not ready"):
        children.wait_until("slow", lambda: False, 0.5)


def test_orphans_of_a_killed_system_are_ended_and_strangers_are_not(children, tmp_path) -> None:
    children.start("orphan", SLEEPER, {}, cwd=tmp_path)
    orphan = children.processes.pop("orphan")
    stranger = subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL)
    record = json.loads(children.record.read_text())
    record["reused"] = (stranger.pid, psutil.Process(stranger.pid).create_time() - 1000)
    children.record.write_text(json.dumps(record))
    ProcessGroup(children.record, children.logs).stop_orphans()
    assert orphan.wait(10) is not None
    assert stranger.poll() is None
    stop_process_tree(stranger.pid, signal.SIGTERM)
    stop_process_tree(stranger.pid, signal.SIGTERM)  # gone already: no error
    stranger.wait(5)


ABANDON = """
import sys
from pathlib import Path
from flows.processes import ProcessGroup
group = ProcessGroup(Path(sys.argv[1], "children.json"), Path(sys.argv[1], "logs"))
group.start("parent", [sys.executable, "-c", sys.argv[2]], {})
print(group.processes["parent"].pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_system_that_is_killed(tmp_path, end) -> None:
    spawn = f"import subprocess; subprocess.Popen({SLEEPER!r}, start_new_session=True).wait()"
    command = [sys.executable, "-c", ABANDON, str(tmp_path), spawn]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as system:
        assert system.stdout is not None
        parent = psutil.Process(int(system.stdout.readline()))
        while not parent.children():
            assert parent.is_running()
        tree = [parent, *parent.children()]
        system.send_signal(end)
        system.wait(10)
    _, alive = psutil.wait_procs(tree, timeout=30)
    assert alive == []


@pytest.mark.slow
def test_patience_lasts_while_there_is_progress(tmp_path) -> None:
    output = tmp_path / "log"
    program = "import time\nwhile True: print('on', flush=True); time.sleep(0.01)"
    busy, idle = ["-c", program], ["-c", "import time; print('up', flush=True); time.sleep(60)"]
    ended = {}
    for name, arguments in {"busy": busy, "idle": idle}.items():
        with output.open("wb") as sink:
            child = subprocess.Popen([sys.executable, *arguments], stdout=sink)
        while not output.stat().st_size:
            assert child.poll() is None
        waiting = Patience(child.pid, output, seconds=0.3, limit=2)
        while waiting.lasts():
            pass
        ended[name] = waiting.waited()
        child.kill()
        child.wait()
    assert ended["idle"] < 2 <= ended["busy"]


def test_a_failed_command_is_an_error_with_its_output(tmp_path) -> None:
    assert run([sys.executable, "-c", "print('fine')"], tmp_path).strip() == "fine"
    with pytest.raises(CommandError, match="broken"):
        run([sys.executable, "-c", "raise SystemExit('broken')"], tmp_path)
    log = tmp_path / "logs" / "x.log"
    run([sys.executable, "-c", "print('one')"], tmp_path, log)
    assert run([sys.executable, "-c", "print('two')"], tmp_path, log).strip() == "two"
    assert log.read_text().split() == ["one", "two"]


def test_telemetry_is_off_unless_the_user_turns_it_on(monkeypatch) -> None:
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert child_environment()["DO_NOT_TRACK"] == "1"
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    assert child_environment()["DO_NOT_TRACK"] == "0"


def test_requests_to_a_busy_server_are_repeated_and_start_one_run() -> None:
    keys: list[str] = []

    class Busy(BaseHTTPRequestHandler):
        def answer(self, code: int) -> None:
            # The answer to both requests: a deployment and a flow run.
            body = json.dumps({"id": RUN, "flow_id": RUN, "name": "b"}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(404 if "csrf-token" in self.path else 200)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            keys.append(body["idempotency_key"])
            self.answer(201 if len(keys) > 1 else 503)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert PrefectServer(f"http://127.0.0.1:{server.server_port}").start("a/b") == uuid.UUID(
            RUN
        )
        server.shutdown()
    assert len(keys) == 2
    assert len(set(keys)) == 1
