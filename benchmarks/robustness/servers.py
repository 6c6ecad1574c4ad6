"""Real servers for a while: PostgreSQL in a folder of its own, replicas of the service, nginx."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from flows.processes import Children, answers
from flows.shell import CHECKOUT
from recloop.config import DATABASE, Home
from recloop.registry.manifest import Lineage
from recloop.registry.payload import Payload
from recloop.registry.store import Registry
from tests import tiny

SERVICE = "recloop.serving.service:RecloopService"
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_NOTHING = Lineage(
    git_commit="", git_ref="", data_version="", model_hash="", validation={}, metrics={}, params={}
)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(*programs: str) -> list[str]:
    """Which of these are not installed."""
    return [program for program in programs if _program(program) is None]


def packaged(root: Path, versions: Sequence[str] = ("v1",), payload: Payload | None = None) -> Home:
    """A home with models of five films, or of a payload, the first of which serves."""
    home = Home(root / "home")
    model, reference = root / "model", root / "reference"
    reference.mkdir(parents=True)
    model.mkdir()
    (payload or tiny.payload()).save(model)
    registry = Registry(home)
    for version in versions:
        registry.register(version, model, reference, _NOTHING)
    registry.promote(versions[0], [])
    return home


@dataclass
class Replica:
    """One service with its workers."""

    home: Home
    name: str = "replica"
    extra: Mapping[str, str] = field(default_factory=dict)
    workers: int = 2
    prefix: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.children = Children(self.home.root / f"{self.name}.json", self.home.logs)

    def start(self) -> None:
        """Start, and wait until it is ready."""
        command = ["bentoml", "serve", SERVICE, "--host", "127.0.0.1", "--port", str(self.port)]
        self.children.start(self.name, [*self.prefix, *command], self._environment(), CHECKOUT)
        ready = f"{self.address}/readyz"
        self.children.wait_until(self.name, lambda: answers(ready), 90)

    def drain(self) -> None:
        """SIGTERM, as an orchestrator sends it, and wait for its end."""
        child = self.children.running.pop(self.name)
        child.terminate()
        child.wait(60)

    def stop(self) -> None:
        """End whatever is left of it."""
        self.children.stop()

    def processes(self) -> list[psutil.Process]:
        """The workers."""
        tree = psutil.Process(self.children.running[self.name].pid).children(recursive=True)
        return [each for each in tree if "_bentoml_impl.worker.service" in each.cmdline()]

    def memory(self) -> int:
        """Bytes that the workers hold."""
        return sum(each.memory_info().rss for each in self.processes())

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
    """A server in a temporary folder; started by root, it runs as the system's user for it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="recloop-postgres-"))
        self.port = free_port()
        self.url = f"postgresql://recloop@127.0.0.1:{self.port}/postgres"
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "recloop", "-A", "trust", "-E", "UTF8", "-N")

    @property
    def environment(self) -> dict[str, str]:
        """What lets a replica use it."""
        return {DATABASE: self.url}

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """Stop at once, as in a crash."""
        self._control("stop", "-m", "immediate")

    def remove(self) -> None:
        """Stop where it runs, and leave nothing behind."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-w", "-D", str(self.folder / "data"), *words)

    def _run(self, program: str, *words: str) -> None:
        who = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*who, str(_program(program)), *words]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """PostgreSQL, running."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def nginx(folder: Path, replicas: Sequence[Replica]) -> Iterator[str]:
    """Nginx with the configuration of deploy/ before these replicas; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
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
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(30)


def _program(name: str) -> Path | None:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, _DEBIAN)])
    found = shutil.which(name, path=places)
    return Path(found) if found else None
