"""What breaks while people go on asking: `python -m benchmarks.robustness.faults --seconds 10`.

For each fault, JSON with the outcomes before, during and after it. An event that was answered with 2xx
must be there afterwards, and nobody may be answered with anything but 200 or a clean 503.
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
from flows.shell import CHECKOUT
from recloop.config import Home
from recloop.registry.champion import write_champion
from recloop.registry.manifest import PAYLOAD
from recloop.registry.store import Registry
from recloop.store.events import EventStore
from tests import tiny

_RATE = 40
_FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_HOUR = 3_600
Strike = Callable[[Replica], AbstractContextManager[None]]


@contextmanager
def killed(replica: Replica) -> Iterator[None]:
    """Kill -9 of one worker; its parent starts another."""
    random.choice(replica.processes()).kill()  # noqa: S311 - any of them
    yield


@contextmanager
def full(replica: Replica) -> Iterator[None]:
    """No worker can make a file longer, as on a full disk."""
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
def corrupted(replica: Replica) -> Iterator[None]:
    """The pointer names a version of which one file has changed by one byte."""
    folder = Registry(replica.home).path("v2") / PAYLOAD
    file = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    write_champion(replica.home.champion, "v2", [])
    yield


def database_away(database: Postgres) -> Strike:
    """PostgreSQL stops as in a crash, and comes back."""

    @contextmanager
    def strike(_: Replica) -> Iterator[None]:
        database.stop()
        try:
            yield
        finally:
            database.start()

    return strike


def clock_back(file: Path) -> Strike:
    """The workers' clock steps back an hour, and forward again."""

    @contextmanager
    def strike(_: Replica) -> Iterator[None]:
        file.write_text(f"-{_HOUR}\n", encoding="utf-8")
        try:
            yield
        finally:
            file.write_text("+0\n", encoding="utf-8")

    return strike


def hanging(file: Path) -> Strike:
    """The ranker does not come back from any call, until the file is gone."""

    @contextmanager
    def strike(_: Replica) -> Iterator[None]:
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    return strike


def suffer(replica: Replica, strike: Strike, seconds: float, url: str) -> dict[str, Any]:
    """Traffic before, during and after; then what is stored is compared with what was acknowledged."""
    replica.start()
    traffic = Traffic(replica.address, _RATE)
    phases, notes = {}, {}

    def ends(phase: str) -> None:
        phases[phase], notes[phase] = traffic.reset(), dict(traffic.notes())

    try:
        with traffic.flowing():
            time.sleep(seconds / 2)
            ends("before")
            with strike(replica):
                time.sleep(seconds)
                ends("during")
            time.sleep(seconds / 2)
            ends("just after")
            time.sleep(seconds / 2)
        ends("after")
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
    """One fault after another, each with a home of its own; those that cannot be made here are named."""
    for name, strike in (("worker killed", killed), ("disk full", full), ("model", corrupted)):
        home = packaged(root / name, ("v1", "v2"))
        yield name, suffer(Replica(home), strike, seconds, home.database)
    home = packaged(root / "ranker", payload=tiny.with_ranker())
    yield "ranker hangs", suffer(*_with_hanging(home), seconds, home.database)
    if missing("initdb"):
        yield "database away", {"not run": "PostgreSQL is not installed"}
    else:
        with postgres() as database:
            home = packaged(root / "database")
            replica = Replica(home, extra=database.environment)
            yield "database away", suffer(replica, database_away(database), seconds, database.url)
    if not _FAKETIME:
        yield "clock", {"not run": "libfaketime is not installed"}
        return
    home = packaged(root / "clock")
    yield "clock", suffer(*_with_clock(home), seconds, home.database)


def _with_clock(home: Home) -> tuple[Replica, Strike]:
    file = home.root / "clock"
    file.write_text("+0\n", encoding="utf-8")
    faked = {
        "LD_PRELOAD": str(_FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    return Replica(home, extra=faked), clock_back(file)


def _with_hanging(home: Home) -> tuple[Replica, Strike]:
    file = home.root / "hang"
    path = os.pathsep.join(map(str, [Path(__file__).with_name("hang"), CHECKOUT / "src"]))
    return Replica(home, extra={"PYTHONPATH": path, "RECLOOP_HANG": str(file)}), hanging(file)


def main() -> int:
    """Read the command line, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="that each fault lasts")
    told = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        found = dict(faults(Path(folder), told.seconds))
    print(json.dumps({"seconds": told.seconds, "rate": _RATE, "faults": found}, indent=2))
    return os.EX_DATAERR if any(each.get("lost") for each in found.values()) else os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
