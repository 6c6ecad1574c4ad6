"""Serve a packaged model with the code of a checkout, from a temporary copy of a home.

    python -m benchmarks.versions.serve_model --checkout CHECKOUT --home home
    python -m benchmarks.versions.serve_model --checkout CHECKOUT --home home -- \
        python -m benchmarks.versions.record_lists --url {url} ...

The first form serves until Ctrl-C. The second form serves while a command runs, with `{url}`
replaced by the address, and returns its exit code. `make_home.py` makes a home.

Each service starts with an empty event store in a copy of the home, so that every run begins with
the same state. Environment variables that begin with `RECLOOP_` are not passed on.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import yaml

from flows.processes import any_free_port

_START_SECONDS, _STOP_SECONDS, _POLL_SECONDS = 120.0, 20.0, 0.2
_LOG = "service.log"


class StartError(RuntimeError):
    """The service did not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Service:
    """A running service: its address, and the process that started the workers."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return user and system time of the process and all its descendants since they started."""
        tree = [self.process, *self.process.children(recursive=True)]
        times = [each.cpu_times() for each in tree]
        return sum(each.user + each.system for each in times)


@contextmanager
def serving(
    checkout: Path, home: Path, workers: int = 1, deadline_ms: float = 0
) -> Iterator[Service]:
    """Start the service of a checkout on a copy of a home, and stop it at the end of the context.

    Args:
        checkout: Repository with a `.venv`.
        home: RECLOOP_HOME with a promoted model. It is copied and not written to.
        workers: Number of worker processes.
        deadline_ms: RECLOOP_DEADLINE_MS; 0 means no deadline, and no fallback to a simpler list.

    Raises:
        StartError: The service ended, or was not ready in time.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copied = Path(name) / "home"
        shutil.copytree(home, copied, ignore=shutil.ignore_patterns("events.db*", "logs"))
        settings = {"RECLOOP_WORKERS": str(workers), "RECLOOP_DEADLINE_MS": f"{deadline_ms:g}"}
        with serving_in(checkout, copied, settings) as service:
            yield service


@contextmanager
def serving_in(
    checkout: Path, home: Path, settings: Mapping[str, str], probe: str = "/readyz"
) -> Iterator[Service]:
    """Start the service of a checkout in a home, and stop it at the end of the context.

    Args:
        checkout: Repository with a `.venv`.
        home: RECLOOP_HOME, to which the service writes.
        settings: Environment variables of the service.
        probe: Path that answers when the service has started: `/livez` for one without a model.

    Raises:
        StartError: The service ended, or was not ready in time.
    """
    url = f"http://127.0.0.1:{any_free_port()}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        path = Path(name, _LOG)
        with path.open("wb") as log:
            started = psutil.Popen(
                _command(checkout, url),
                cwd=checkout,
                env={**environment(checkout, home), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_started(f"{url}{probe}", started, path)
            yield Service(url, started)
        finally:
            _stop(started)


def _command(checkout: Path, url: str) -> list[str]:
    """Return the command that starts the service which the checkout's `bentofile.yaml` names."""
    described = yaml.safe_load(checkout.joinpath("bentofile.yaml").read_text(encoding="utf-8"))
    bentoml, port = checkout / ".venv" / "bin" / "bentoml", url.rsplit(":", 1)[1]
    return [str(bentoml), "serve", described["service"], "--host", "127.0.0.1", "--port", port]


def environment(checkout: Path, home: Path) -> dict[str, str]:
    """Return the environment in which commands of a checkout use a home."""
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("RECLOOP_")}
    tools = str(checkout / ".venv" / "bin")
    return {
        **inherited,
        "PATH": f"{tools}{os.pathsep}{inherited.get('PATH', '')}",
        "PYTHONPATH": str(checkout / "src"),
        "RECLOOP_HOME": str(home),
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
        # Title matches add up the weights of a set of words; another order changes the last bits.
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _wait_until_started(probe: str, started: psutil.Popen, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        try:
            if httpx.get(probe, timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(_POLL_SECONDS)
    end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
    raise StartError(f"The service did not start. Its log ends with:\n{end}")


def _stop(started: psutil.Popen) -> None:
    """Ask the process to end, and kill what is left of it and its descendants after a while."""
    if started.poll() is not None:
        return
    tree = [started, *started.children(recursive=True)]
    started.send_signal(signal.SIGINT)
    for process in psutil.wait_procs(tree, timeout=_STOP_SECONDS)[1]:
        process.kill()
    started.wait()


def _run(command: Sequence[str], url: str) -> int:
    """Run a command with the address of the service in it; without one, wait for Ctrl-C."""
    if command:
        return subprocess.run(
            [part.replace("{url}", url) for part in command], check=False
        ).returncode
    sys.stderr.write(f"{url} (Ctrl-C stops the service)\n")
    try:
        signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
    return 0


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Serve a packaged model with a checkout's code.")
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--deadline-ms", type=float, default=0, help="0: no deadline")
    parser.add_argument("command", nargs="*", help="after --: what to run while the service is up")
    arguments = parser.parse_args()
    checkout, home = arguments.checkout.resolve(), arguments.home.resolve()
    with serving(checkout, home, arguments.workers, arguments.deadline_ms) as service:
        return _run(arguments.command, service.url)


if __name__ == "__main__":
    sys.exit(main())
