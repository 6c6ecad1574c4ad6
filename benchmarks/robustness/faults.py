"""Faults under load: `python -m benchmarks.robustness.faults --seconds 10`.

Prints JSON with the outcomes of requests before, during and after each fault. An event that was
acknowledged with 2xx must be stored afterwards, and every status must be 200 or a clean 503.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.robustness.servers import Postgres, Replica, missing, packaged, postgres
from benchmarks.robustness.traffic import Traffic, failures
from recloop.config import Home
from recloop.registry.champion import write_champion
from recloop.registry.manifest import PAYLOAD
from recloop.registry.versions import Registry
from recloop.store.event_store import EventStore
from tests.support import tiny_model

_RATE = 40
_HANGING_SERVICE = "benchmarks.robustness.hanging_service:RecloopService"
_FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_HOUR = 3_600
Fault = Callable[[Replica], AbstractContextManager[None]]


@contextmanager
def kill_worker(replica: Replica) -> Iterator[None]:
    """Kill one worker with SIGKILL; its parent process starts another."""
    random.choice(replica.processes()).kill()  # noqa: S311 - not used for secrets
    yield


@contextmanager
def fill_disk(replica: Replica) -> Iterator[None]:
    """Prevent the workers from extending any file, as on a full disk."""
    workers = replica.processes()
    limits = [each.rlimit(psutil.RLIMIT_FSIZE) for each in workers]
    for each, (_, hard) in zip(workers, limits, strict=True):
        each.rlimit(psutil.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for each, limit in zip(workers, limits, strict=True):
            each.rlimit(psutil.RLIMIT_FSIZE, limit)


@contextmanager
def corrupt_model(replica: Replica) -> Iterator[None]:
    """Promote a version in whose largest file one byte is changed."""
    folder = Registry(replica.home).path("v2") / PAYLOAD
    file = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    write_champion(replica.home.champion, "v2", [])
    yield


def stop_database(database: Postgres) -> Fault:
    """Return a fault that stops PostgreSQL as in a crash, and starts it again."""

    @contextmanager
    def fault(_: Replica) -> Iterator[None]:
        database.stop()
        try:
            yield
        finally:
            database.start()

    return fault


def set_clock_back(file: Path) -> Fault:
    """Return a fault that sets the workers' clock back by an hour, and forward again."""

    @contextmanager
    def fault(_: Replica) -> Iterator[None]:
        file.write_text(f"-{_HOUR}\n", encoding="utf-8")
        try:
            yield
        finally:
            file.write_text("+0\n", encoding="utf-8")

    return fault


def hang_ranker(file: Path) -> Fault:
    """Return a fault that makes every call of the ranker hang."""

    @contextmanager
    def fault(_: Replica) -> Iterator[None]:
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    return fault


def measure(replica: Replica, fault: Fault, seconds: float, url: str) -> dict[str, Any]:
    """Send traffic before, during and after a fault; compare stored with acknowledged events."""
    replica.start()
    traffic = Traffic(replica.address, _RATE)
    phases, notes = {}, {}

    def end_phase(phase: str) -> None:
        phases[phase], notes[phase] = traffic.reset(), dict(traffic.notes())

    try:
        with traffic.running():
            time.sleep(seconds / 2)
            end_phase("before")
            with fault(replica):
                time.sleep(seconds)
                end_phase("during")
            time.sleep(seconds / 2)
            end_phase("just after")
            time.sleep(seconds / 2)
        end_phase("after")
    finally:
        replica.stop()
    store = EventStore(url)
    stored = set(store.events()["event_id"])
    store.close()
    rates = {name: failures(found) / max(1, sum(found.values())) for name, found in phases.items()}
    return {
        "acknowledged": len(traffic.acknowledged),
        "lost": len(traffic.acknowledged - stored),
        "error_rate": rates,
        "outcomes": {name: dict(found) for name, found in phases.items()},
        "lists": notes,
    }


def faults(root: Path, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the result of each fault, in a home of its own, or why it cannot be produced here."""
    for name, fault in (
        ("worker killed", kill_worker),
        ("disk full", fill_disk),
        ("model", corrupt_model),
    ):
        home = packaged(root / name, ("v1", "v2"))
        yield name, measure(Replica(home), fault, seconds, home.database)
    home = packaged(root / "ranker", payload=tiny_model.with_ranker())
    yield "ranker hangs", measure(*_with_hanging(home), seconds, home.database)
    if missing("initdb"):
        yield "database away", {"not run": "PostgreSQL is not installed"}
    else:
        with postgres() as database:
            home = packaged(root / "database")
            replica = Replica(home, extra=database.environment)
            yield "database away", measure(replica, stop_database(database), seconds, database.url)
    if not _FAKETIME:
        yield "clock", {"not run": "libfaketime is not installed"}
        return
    home = packaged(root / "clock")
    yield "clock", measure(*_with_clock(home), seconds, home.database)


def _with_clock(home: Home) -> tuple[Replica, Fault]:
    file = home.root / "clock"
    file.write_text("+0\n", encoding="utf-8")
    faked = {
        "LD_PRELOAD": str(_FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    return Replica(home, extra=faked), set_clock_back(file)


def _with_hanging(home: Home) -> tuple[Replica, Fault]:
    file = home.root / "hang"
    replica = Replica(home, extra={"HANG_FILE": str(file)}, service=_HANGING_SERVICE)
    return replica, hang_ranker(file)


def main() -> int:
    """Run from the command line, print JSON and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="duration of each fault")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        found = dict(faults(Path(folder), arguments.seconds))
    print(json.dumps({"seconds": arguments.seconds, "rate": _RATE, "faults": found}, indent=2))
    return os.EX_DATAERR if any(each.get("lost") for each in found.values()) else os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
