"""Child processes of a running system: started, waited for, and stopped, all of them, always."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from flows.shell import CHECKOUT, end_tree, environment


class StartError(RuntimeError):
    """A child did not come up; the message holds the end of its log."""


class PortTakenError(RuntimeError):
    """A port that was asked for by name is in use."""


def free_port(preferred: int, variable: str) -> int:
    """The preferred port, or any free one where it is taken; one set in `variable` is a must.

    Raises:
        PortTakenError: the environment names a port that is taken.
    """
    wanted = os.environ.get(variable)
    if wanted is not None and not wanted.isdigit():
        raise PortTakenError(f"{variable} is {wanted!r}, which is no port")
    if wanted is not None:
        if _taken(int(wanted)):
            raise PortTakenError(f"port {wanted} ({variable}) is in use")
        return int(wanted)
    if not _taken(preferred):
        return preferred
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
class Children:
    """The children of one system. Their ids are on disk, so that the next start can end orphans."""

    record: Path
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], extra: Mapping[str, str], cwd: Path = CHECKOUT
    ) -> None:
        """Start in a session of its own, output to a log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.logs.joinpath(f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment(extra),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._remember()

    def wait_until(self, name: str, ready: Callable[[], object], seconds: float) -> None:
        """Poll until `ready`. Raises StartError when the child ends or time runs out."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.running[name].poll() is not None:
                raise StartError(f"{name} ended while starting:\n{self.tail(name)}")
            if ready():
                return
            time.sleep(0.2)
        raise StartError(f"{name} was not ready after {seconds:.0f} s:\n{self.tail(name)}")

    def dead(self) -> list[str]:
        """Names of children that have ended by themselves."""
        return [name for name, child in self.running.items() if child.poll() is not None]

    def tail(self, name: str, lines: int = 15) -> str:
        """The end of a child's log."""
        text = self.logs.joinpath(f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Stop all, youngest first: asked once, then killed, with whatever they started."""
        for child in reversed(self.running.values()):
            end_tree(child.pid, signal.SIGINT)
            child.wait()
        self.running.clear()
        self.record.unlink(missing_ok=True)

    def end_orphans(self) -> None:
        """End what a system that was killed has left behind."""
        if not self.record.exists():
            return
        for pid, created in json.loads(self.record.read_text()).values():
            if psutil.pid_exists(pid) and psutil.Process(pid).create_time() == created:
                end_tree(pid, signal.SIGTERM)
        self.record.unlink()

    def _remember(self) -> None:
        alive = {
            name: (child.pid, psutil.Process(child.pid).create_time())
            for name, child in self.running.items()
            if child.poll() is None
        }
        self.record.parent.mkdir(parents=True, exist_ok=True)
        partial = self.record.with_suffix(".partial")
        partial.write_text(json.dumps(alive))
        partial.replace(self.record)


def answers(url: str) -> bool:
    """Whether an HTTP address answers with success."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
