"""Guard: a process that stops the processes that this one started, when this one is gone.

A system that is killed cannot stop its servers. The guard reads the ids of processes from a pipe
that only this process holds open. When the pipe closes, it stops every process that is left.
"""

import atexit
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import psutil

from flows.shell import CHECKOUT, stop_process_tree


def watch(pid: int) -> None:
    """Have a process, which leads a session of its own, stopped when this process is gone."""
    with contextlib.suppress(psutil.NoSuchProcess, BrokenPipeError):
        created = psutil.Process(pid).create_time()
        pipe = _guard().stdin
        assert pipe is not None  # noqa: S101 - it was started with a pipe
        pipe.write(f"{pid} {created!r}\n")
        pipe.flush()


@cache
def _guard() -> "subprocess.Popen[str]":
    # In a session of its own, signals for this process's group do not reach it.
    guard = subprocess.Popen(
        [sys.executable, "-m", "flows.guard"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    atexit.register(guard.communicate)
    return guard


def main(lines: Iterable[str]) -> None:
    """Read `pid created` until the end of the lines, then stop those of the processes that run."""
    watched = [(int(pid), float(created)) for pid, created in map(str.split, lines)]
    with ThreadPoolExecutor(max(1, len(watched))) as pool:
        list(pool.map(_stop, watched))


def _stop(process: tuple[int, float]) -> None:
    pid, created = process
    with contextlib.suppress(psutil.NoSuchProcess):
        if psutil.Process(pid).create_time() != created:
            return  # the id was given to another process since
    stop_process_tree(pid, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.stdin)
