"""Running the tools of the loop (git, DVC, BentoML, our stages) as child processes."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

CHECKOUT = Path(__file__).resolve().parent.parent

_GRACE_SECONDS = 15

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "True",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
_IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "recloop"), ("EMAIL", "recloop@localhost"))
}


class CommandError(RuntimeError):
    """A child process failed; the message holds the end of what it said."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of children: this interpreter's tools first on PATH, every telemetry off unless it was set."""
    tools = str(Path(sys.executable).parent)
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**_QUIET, **os.environ, **_IDENTITY, "PATH": path, **(extra or {})}


def run(
    command: Sequence[str],
    cwd: Path = CHECKOUT,
    log: Path | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run to the end and return standard output; with `log`, output goes to the end of that file.

    Whatever ends the wait (a timeout, Ctrl-C, a cancelled run) ends the command and its children too.

    Raises:
        CommandError: exit code other than 0.
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
        command, cwd=cwd, env=environment(extra), stdout=out, stderr=errors, text=True
    ) as child:
        try:
            said, complained = child.communicate()
        except BaseException:
            end_tree(child.pid, signal.SIGTERM)
            raise
    return child.returncode, said or "", complained or ""


def end_tree(pid: int, first: signal.Signals) -> None:
    """Signal a process, give it time, then kill what is left of it and of its descendants."""
    try:
        parent = psutil.Process(pid)
        tree = [parent, *parent.children(recursive=True)]
        parent.send_signal(first)
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs(tree, timeout=_GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
