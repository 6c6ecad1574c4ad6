"""Child processes of a running system: start them, wait until they are ready, stop them all."""

import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from flows import guard
from flows.shell import CHECKOUT, child_environment, process_tree, stop_process_tree


class StartError(RuntimeError):
    """A process did not start; the message contains the end of its log."""


class PortTakenError(RuntimeError):
    """A port that the settings name is in use."""


def free_port(preferred: int, required: int | None = None) -> int:
    """Return the required port; without one, the preferred port or, if it is taken, a free one.

    Raises:
        PortTakenError: The required port is taken.
    """
    if required is not None:
        if _taken(required):
            raise PortTakenError(f"port {required} is in use")
        return required
    if not _taken(preferred):
        return preferred
    return any_free_port()


def any_free_port() -> int:
    """Return a free port that the operating system chooses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


@dataclass
class ProcessGroup:
    """Processes of one system.

    They are stopped when this process is gone, however it ended (see `guard`). Their ids are on
    disk as well: where the guard was killed too, the next start stops them.
    """

    record: Path
    logs: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], extra: Mapping[str, str], cwd: Path = CHECKOUT
    ) -> None:
        """Start a process in a session of its own, with its output in a log file."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.logs.joinpath(f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=cwd,
                env=child_environment(extra),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        guard.watch(self.processes[name].pid)
        self._write_record()

    def wait_until(self, name: str, ready: Callable[[], object], seconds: float) -> None:
        """Poll until `ready` returns a true value.

        Args:
            name: Name of the process.
            ready: The condition.
            seconds: Longest time without progress. A process on a busy machine is waited for, up
                to ten times as long, while its log grows or it uses the processor.

        Raises:
            StartError: The process ended, made no progress, or was not ready in time.
        """
        child, log = self.processes[name], self.logs / f"{name}.log"
        waiting = Patience(child.pid, log, seconds)
        while waiting.lasts():
            if child.poll() is not None:
                raise StartError(f"{name} ended while starting:\n{self.log_tail(name)}")
            if ready():
                return
            time.sleep(0.2)
        raise StartError(
            f"{name} was not ready after {waiting.waited():.0f} s:\n{self.log_tail(name)}"
        )

    def ended(self) -> list[str]:
        """Return the names of the processes that have ended, although nobody stopped them."""
        return [name for name, child in self.processes.items() if child.poll() is not None]

    def log_tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a process's log."""
        text = self.logs.joinpath(f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Stop all processes and their descendants, newest first: interrupt, then kill."""
        for child in reversed(self.processes.values()):
            stop_process_tree(child.pid, signal.SIGINT)
            child.wait()
        self.processes.clear()
        self.record.unlink(missing_ok=True)

    def stop_orphans(self) -> None:
        """Stop the processes that a killed system left running."""
        if not self.record.exists():
            return
        for pid, created in json.loads(self.record.read_text()).values():
            if psutil.pid_exists(pid) and psutil.Process(pid).create_time() == created:
                stop_process_tree(pid, signal.SIGTERM)
        self.record.unlink()

    def _write_record(self) -> None:
        alive = {
            name: (child.pid, psutil.Process(child.pid).create_time())
            for name, child in self.processes.items()
            if child.poll() is None
        }
        self.record.parent.mkdir(parents=True, exist_ok=True)
        partial = self.record.with_suffix(".partial")
        partial.write_text(json.dumps(alive))
        partial.replace(self.record)


class Patience:
    """Decides how long to wait for a process: while it makes progress, up to a limit.

    Progress is output, or a tenth of the time on a processor; polling servers use less.
    """

    def __init__(self, pid: int, output: Path, seconds: float, limit: float | None = None) -> None:
        self._pid = pid
        self._output = output
        self._seconds = seconds
        self._limit = 10 * seconds if limit is None else limit
        self._started = self._since = time.monotonic()
        self._seen = self._measure()

    def waited(self) -> float:
        """Return the seconds since the wait began."""
        return time.monotonic() - self._started

    def lasts(self) -> bool:
        """Return whether to wait on."""
        if self.waited() >= self._limit:
            return False
        idle = time.monotonic() - self._since
        if idle < self._seconds:
            return True
        size, cpu = self._measure()
        progress = size != self._seen[0] or cpu - self._seen[1] > idle / 10
        self._since, self._seen = time.monotonic(), (size, cpu)
        return progress

    def _measure(self) -> tuple[int, float]:
        """Return the bytes of output, and the CPU seconds of the process and its descendants."""
        size = self._output.stat().st_size if self._output.exists() else 0
        cpu = 0.0
        for process in process_tree(self._pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system
        return size, cpu


def is_up(url: str) -> bool:
    """Return whether an HTTP address answers with success."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
