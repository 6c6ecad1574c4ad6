"""Temporary servers for tests: PostgreSQL, replicas of the service, and nginx."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from flows import guard
from flows.processes import ProcessGroup, any_free_port, is_up
from flows.shell import CHECKOUT
from recloop.config import Home
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from tests.support import tiny_model

SERVICE = "recloop.serving.service:RecloopService"
# Settings of a service whose lists are never replaced by a fallback because they are late. What is
# in a list then does not depend on how busy the machine is.
NO_DEADLINE = {"RECLOOP_DEADLINE_MS": "0"}
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def missing(*programs: str) -> list[str]:
    """Return those of the programs that are not installed."""
    return [program for program in programs if _program(program) is None]


def packaged(root: Path, versions: Sequence[str] = ("v1",), payload: Payload | None = None) -> Home:
    """Return a home with one model, registered under each version; the first is the champion.

    Without a `payload`, the model is the tiny one of the tests.
    """
    home = Home(root / "home")
    model, reference = root / "model", root / "reference"
    reference.mkdir(parents=True)
    model.mkdir()
    (payload or tiny_model.payload()).save(model)
    registry = Registry(home)
    for version in versions:
        registry.register(version, model, reference, tiny_model.LINEAGE)
    registry.promote(versions[0], [])
    return home


@dataclass
class Replica:
    """One replica of the service with its workers."""

    home: Home
    name: str = "replica"
    extra: Mapping[str, str] = field(default_factory=dict)
    workers: int = 2
    prefix: Sequence[str] = ()
    service: str = SERVICE

    def __post_init__(self) -> None:
        self.port = any_free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.children = ProcessGroup(self.home.root / f"{self.name}.json", self.home.logs)

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        command = [
            "bentoml",
            "serve",
            self.service,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self.children.start(self.name, [*self.prefix, *command], self._environment(), CHECKOUT)
        ready = f"{self.address}/readyz"
        self.children.wait_until(self.name, lambda: is_up(ready), 90)

    def drain(self) -> None:
        """Send SIGTERM, as an orchestrator does, and wait until the service has ended."""
        child = self.children.processes.pop(self.name)
        child.terminate()
        child.wait(60)

    def stop(self) -> None:
        """Stop all processes of the service that are still running."""
        self.children.stop()

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the workers."""
        tree = psutil.Process(self.children.processes[self.name].pid).children(recursive=True)
        return [child for child in tree if "_bentoml_impl.worker.service" in child.cmdline()]

    def memory(self) -> int:
        """Return the resident memory of the workers in bytes."""
        return sum(worker.memory_info().rss for worker in self.processes())

    def _environment(self) -> dict[str, str]:
        return {
            "RECLOOP_HOME": str(self.home.root),
            "BENTOML_HOME": str(self.home.models),
            "RECLOOP_WORKERS": str(self.workers),
            "PYTHONPATH": str(CHECKOUT / "src"),
            "OMP_NUM_THREADS": "1",
            **self.extra,
        }


class Postgres:
    """PostgreSQL server in a temporary folder; root runs it as the system user `postgres`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="recloop-postgres-"))
        self.port = any_free_port()
        self.url = f"postgresql://recloop@127.0.0.1:{self.port}/postgres"
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "recloop", "-A", "trust", "-E", "UTF8", "-N")

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which a replica uses this server."""
        return {"RECLOOP_DATABASE_URL": self.url}

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._control("start", "-o", options, "-l", str(self.folder / "log"))
        guard.watch(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))

    def stop(self) -> None:
        """Stop the server at once, as in a crash."""
        self._control("stop", "-m", "immediate")

    def remove(self) -> None:
        """Stop the server if it runs, and delete its folder."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-w", "-D", str(self.folder / "data"), *words)

    def _run(self, program: str, *words: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*prefix, str(_program(program)), *words]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server until the context ends."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def nginx(folder: Path, replicas: Sequence[Replica]) -> Iterator[str]:
    """Run nginx in front of two replicas with the configuration of deploy/; yield its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = any_free_port()
    text = (CHECKOUT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    names = ("replica-1:3000", "replica-2:3000")
    for name, replica in zip(names, replicas, strict=True):
        text = text.replace(name, f"127.0.0.1:{replica.port}")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    text = text.replace("/run/nginx.pid", str(folder / "nginx.pid"))
    path = folder / "nginx.conf"
    path.write_text(text.replace("/tmp/recloop-nginx", str(folder)), encoding="utf-8")  # noqa: S108
    command = [str(_program("nginx")), "-c", str(path), "-g", "daemon off;", "-e", "stderr"]
    with folder.joinpath("nginx.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    guard.watch(server.pid)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(30)


def _program(name: str) -> Path | None:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, _DEBIAN)])
    found = shutil.which(name, path=places)
    return Path(found) if found else None
