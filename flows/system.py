"""A whole system on this machine: Prefect server, flow runner, service, report server."""

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.processes import Children, answers, free_port
from flows.server import PrefectServer
from flows.shell import CHECKOUT
from recloop.config import Home
from recloop.serving.security import SecurityConfig
from recloop.store.events import EventStore
from recloop.store.naming import open_door

RETRAIN, MONITOR, RETAIN = "retrain/retrain", "monitor/monitor", "retain/retain"


class SystemRunningError(RuntimeError):
    """Another system runs in this home."""


@dataclass(frozen=True)
class Addresses:
    """Where a system answers."""

    prefect: str
    service: str
    reports: str

    @classmethod
    def choose(cls) -> "Addresses":
        """Free ports, found before anything starts. Raises PortTakenError."""
        return cls(
            f"http://127.0.0.1:{free_port(4200, 'RECLOOP_PREFECT_PORT')}",
            f"http://127.0.0.1:{free_port(3000, 'RECLOOP_SERVICE_PORT')}",
            f"http://127.0.0.1:{free_port(8800, 'RECLOOP_REPORTS_PORT')}",
        )

    @classmethod
    def of_running(cls, home: Home) -> "Addresses | None":
        """Of the system that is up in this home, None where there is none."""
        path = home.root / "system-addresses.json"
        if not path.exists() or not _is_held(home.root / "system.lock"):
            return None
        return cls(**json.loads(path.read_text()))


class System:
    """Starts the parts one after another; leaving the `running` context stops them all."""

    def __init__(self, home: Home, addresses: Addresses, name: str = "system") -> None:
        self.home = home
        self.at = addresses
        self.server = PrefectServer(addresses.prefect)
        self.children = Children(home.root / f"{name}-children.json", home.logs)

    @classmethod
    @contextmanager
    def running(cls, home: Home, name: str = "system") -> Iterator["System"]:
        """The one system of this name in a home, nothing of it started yet.

        Raises:
            SystemRunningError, PortTakenError, NamingError: the key for pseudonyms.
            ConfigError: who may ask the service, or that key.
        """
        _check_protection(home)
        home.root.mkdir(parents=True, exist_ok=True)
        with home.root.joinpath(f"{name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SystemRunningError(f"a {name} is running in {home.root} already") from error
            signal.signal(signal.SIGTERM, _interrupt)
            Children(home.root / f"{name}-children.json", home.logs).end_orphans()
            system = cls(home, Addresses.choose(), name)
            record = home.root / f"{name}-addresses.json"
            try:
                record.write_text(json.dumps(vars(system.at)))
                yield system
            finally:
                record.unlink(missing_ok=True)
                system.children.stop()

    def start_prefect(self) -> None:
        """Server, then the runner that registers the deployments; runs that a kill left are closed."""
        port = self.at.prefect.rsplit(":", 1)[1]
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        self.children.start("prefect-server", command, self._environment())
        self.children.wait_until("prefect-server", self.server.healthy, 90)
        self.server.close_stale_runs()
        self.children.start("flow-runner", ["python", "-m", "flows.serve"], self._environment())
        names = (RETRAIN, MONITOR, RETAIN)
        self.children.wait_until("flow-runner", lambda: all(map(self.server.deployment, names)), 90)

    def start_service(self, bento: str = "recloop:latest") -> None:
        """The built Bento, over HTTP."""
        port = self.at.service.rsplit(":", 1)[1]
        command = ["bentoml", "serve", bento, "--host", "127.0.0.1", "--port", port]
        # From a folder without the sources: what answers is what was built.
        self.children.start("service", command, self._environment(), cwd=self.home.root)
        self.children.wait_until("service", lambda: answers(f"{self.at.service}/readyz"), 60)

    def start_reports(self) -> None:
        """The reports' folder, over HTTP."""
        self.home.reports.mkdir(parents=True, exist_ok=True)
        port = self.at.reports.rsplit(":", 1)[1]
        command = ["python", "-m", "http.server", port, "--bind", "127.0.0.1"]
        command += ["--directory", str(self.home.reports)]
        self.children.start("reports", command, self._environment())
        self.children.wait_until("reports", lambda: answers(self.at.reports), 20)

    def outcome(self, flow: str) -> dict[str, Any]:
        """What the newest run of a flow left behind."""
        path = self.home.reports / f"{flow}.json"
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    def _environment(self) -> dict[str, str]:
        return {
            "RECLOOP_HOME": str(self.home.root),
            "RECLOOP_REPORTS_URL": self.at.reports,
            "BENTOML_HOME": str(self.home.models),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")]),
            "PREFECT_HOME": str(self.home.prefect),
            "PREFECT_API_URL": f"{self.at.prefect}/api",
            "PREFECT_UI_API_URL": f"{self.at.prefect}/api",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "WARNING"),
        }


def _check_protection(home: Home) -> None:
    """Told at once, and not by a service that does not come up."""
    SecurityConfig.from_environment()
    store = EventStore.of(home)
    try:
        open_door(store)
    finally:
        store.close()


def _is_held(path: Path) -> bool:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
