"""Processes of a system on one machine: Prefect server, flow runner, service, report server."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flows.processes import PortTakenError, ProcessGroup, free_port, is_up
from flows.server import PrefectServer
from flows.shell import CHECKOUT
from recloop.config import Home
from recloop.settings import Settings, variables_of
from recloop.store.api_keys import KeyStore
from recloop.store.event_store import EventStore
from recloop.store.user_id_scheme import load_pseudonyms

RETRAIN, MONITOR, RETAIN = "retrain/retrain", "monitor/monitor", "retain/retain"


class SystemRunningError(RuntimeError):
    """Another system is running in this home."""


@dataclass(frozen=True)
class Addresses:
    """Addresses of the parts of a system."""

    prefect: str
    service: str
    reports: str

    @classmethod
    def choose(cls, settings: Settings) -> "Addresses":
        """Return addresses with free ports, or with the ports that the settings name.

        Raises:
            PortTakenError: A port that the settings name is taken.
        """
        return cls(
            _address("prefect_port", settings.prefect_port, 4200),
            _address("service_port", settings.service_port, 3000),
            _address("reports_port", settings.reports_port, 8800),
        )

    @classmethod
    def of_running(cls, home: Home) -> "Addresses | None":
        """Return the addresses of the system running in this home, None if there is none."""
        path = home.root / "system-addresses.json"
        if not path.exists() or not _is_locked(home.root / "system.lock"):
            return None
        return cls(**json.loads(path.read_text()))


class System:
    """System whose parts are started one by one; leaving the context `running` stops them all."""

    def __init__(self, settings: Settings, addresses: Addresses, name: str = "system") -> None:
        self.settings = settings
        self.home = home = settings.home
        self.addresses = addresses
        self.server = PrefectServer(addresses.prefect)
        self.processes = ProcessGroup(home.root / f"{name}-children.json", home.logs)

    @classmethod
    @contextmanager
    def running(cls, settings: Settings, name: str = "system") -> Iterator["System"]:
        """Lock a home, yield its system with nothing started yet, and stop the system in the end.

        Raises:
            SystemRunningError: A system of this name is running in this home.
            PortTakenError: A port that the settings name is taken.
            UserIdSchemeError: The key for pseudonyms does not match the store.
            StoreSchemaError: A newer version has upgraded the event store or the API keys.
            ConfigError: The key for pseudonyms is malformed or cannot be read.
        """
        _check_stores(settings)
        home = settings.home
        home.root.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(home.root / f"{name}.lock").acquire(blocking=False)
        except Timeout as error:
            raise SystemRunningError(f"a {name} is running in {home.root} already") from error
        with lock:
            signal.signal(signal.SIGTERM, _interrupt)
            ProcessGroup(home.root / f"{name}-children.json", home.logs).stop_orphans()
            system = cls(settings, Addresses.choose(settings), name)
            record = home.root / f"{name}-addresses.json"
            try:
                record.write_text(json.dumps(vars(system.addresses)))
                yield system
            finally:
                record.unlink(missing_ok=True)
                system.processes.stop()

    def start_prefect(self) -> None:
        """Start the Prefect server, close stale runs, and start the runner of the flows."""
        port = self.addresses.prefect.rsplit(":", 1)[1]
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
        self.processes.start("prefect-server", command, self._environment())
        self.processes.wait_until("prefect-server", self.server.is_healthy, 90)
        self.server.close_stale_runs()
        self.processes.start("flow-runner", ["python", "-m", "flows.serve"], self._environment())
        names = (RETRAIN, MONITOR, RETAIN)
        self.processes.wait_until(
            "flow-runner", lambda: all(map(self.server.deployment, names)), 90
        )

    def start_service(self, bento: str = "recloop:latest") -> None:
        """Start the service from a Bento in the home's store."""
        port = self.addresses.service.rsplit(":", 1)[1]
        command = ["bentoml", "serve", bento, "--host", "127.0.0.1", "--port", port]
        # In a folder without the sources, only the Bento's own files can be imported.
        self.processes.start("service", command, self._environment(), cwd=self.home.root)
        self.processes.wait_until("service", lambda: is_up(f"{self.addresses.service}/readyz"), 60)

    def start_reports(self) -> None:
        """Start an HTTP server for the reports folder."""
        self.home.reports.mkdir(parents=True, exist_ok=True)
        port = self.addresses.reports.rsplit(":", 1)[1]
        command = ["python", "-m", "http.server", port, "--bind", "127.0.0.1"]
        command += ["--directory", str(self.home.reports)]
        self.processes.start("reports", command, self._environment())
        self.processes.wait_until("reports", lambda: is_up(self.addresses.reports), 20)

    def _environment(self) -> dict[str, str]:
        return {
            "RECLOOP_HOME": str(self.home.root),
            "RECLOOP_REPORTS_URL": self.addresses.reports,
            "BENTOML_HOME": str(self.home.models),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")]),
            "PREFECT_HOME": str(self.home.prefect),
            "PREFECT_API_URL": f"{self.addresses.prefect}/api",
            "PREFECT_UI_API_URL": f"{self.addresses.prefect}/api",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        }


def _address(setting: str, required: int | None, preferred: int) -> str:
    try:
        return f"http://127.0.0.1:{free_port(preferred, required)}"
    except PortTakenError as error:
        raise PortTakenError(f"{variables_of(setting)[0]}: {error}") from error


def _check_stores(settings: Settings) -> None:
    """Check the stores and the key for pseudonyms before anything is started."""
    store = EventStore.of(settings.home)
    try:
        load_pseudonyms(store, settings)
    finally:
        store.close()
    if settings.auth == "keys":
        KeyStore.at(settings.home.keyring)


def _is_locked(path: Path) -> bool:
    try:
        FileLock(path).acquire(blocking=False).lock.release()
    except Timeout:
        return True
    return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
