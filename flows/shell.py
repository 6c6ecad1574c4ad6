"""Child processes for the tools of the loop: git, DVC, BentoML and the stages."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

CHECKOUT = Path(__file__).resolve().parent.parent

_GRACE_SECONDS = 15
# Time that descendants get to end after the process that should have stopped them.
_ORPHAN_SECONDS = 2

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "True",
    "DVC_NO_ANALYTICS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}
_IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "recloop"), ("EMAIL", "recloop@localhost"))
}


class CommandError(RuntimeError):
    """A child process failed; the message contains the end of its output."""


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of child processes.

    The tools of this interpreter come first on PATH, and telemetry is off unless the user set it.
    """
    tools = str(Path(sys.executable).parent)
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**_QUIET, **os.environ, **_IDENTITY, "PATH": path, **(extra or {})}


def run(
    command: Sequence[str],
    cwd: Path = CHECKOUT,
    log: Path | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end and return its standard output; with `log`, append the output there.

    A timeout, Ctrl-C or a cancelled run also stops the command and its children.

    Raises:
        CommandError: The exit code is not 0.
    """
    if log is None:
        code, output, errors = _wait(command, cwd, extra)
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as sink:
            start = sink.tell()
            code, _, _ = _wait(command, cwd, extra, sink)
        output, errors = log.read_bytes()[start:].decode(errors="replace"), ""
    if code:
        raise CommandError(
            f"{' '.join(command)} failed ({code}): {(output + errors).strip()[-1500:]}"
        )
    return output


def _wait(
    command: Sequence[str],
    cwd: Path,
    extra: Mapping[str, str] | None,
    sink: IO[str] | None = None,
) -> tuple[int, str, str]:
    out, errors = (sink, subprocess.STDOUT) if sink else (subprocess.PIPE, subprocess.PIPE)
    with subprocess.Popen(
        command, cwd=cwd, env=child_environment(extra), stdout=out, stderr=errors, text=True
    ) as child:
        try:
            output, problems = child.communicate()
        except BaseException:
            stop_process_tree(child.pid, signal.SIGTERM)
            raise
    return child.returncode, output or "", problems or ""


def stop_process_tree(pid: int, first: signal.Signals) -> None:
    """Send a signal to a process; after a grace period kill it, its descendants and its session."""
    tree = process_tree(pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).send_signal(first)
    _wait_for_end([process for process in tree if process.pid == pid], _GRACE_SECONDS)
    alive = _wait_for_end(tree, _ORPHAN_SECONDS)
    for _ in range(3):  # a process may start another one before it is killed
        left = {*process_tree(pid), *(each for one in alive for each in process_tree(one.pid))}
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        alive = _wait_for_end(list(left), 5)
    psutil.wait_procs(tree, timeout=5)  # until those that ended are no longer listed


def process_tree(pid: int) -> list[psutil.Process]:
    """Return the running processes that a process started, and itself if it runs.

    Those that lost their parent are found by their session, if the process leads one.
    """
    found = {each for each in psutil.process_iter() if _session(each.pid) == pid}
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        found |= {parent, *parent.children(recursive=True)}
    return list(filter(_runs, found))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return those of the processes that still run after this time."""
    deadline = time.monotonic() + seconds
    while (alive := list(filter(_runs, processes))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive
