"""A run of the whole loop that is killed in the middle of training leaves no process behind."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.checkout import Checkout

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout.make(tmp_path_factory.mktemp("killed"))
    yield checkout
    checkout.stop()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_of_a_killed_run_is_left(
    checkout: Checkout, tmp_path: Path, end: signal.Signals
) -> None:
    output = tmp_path / "run.log"
    run = checkout.start(sys.executable, "-m", "flows.run", output=output)
    while not any(_is_stage(process) for process in checkout.processes()):
        assert run.poll() is None, output.read_text()
        time.sleep(0.2)
    names = " ".join(" ".join(process.cmdline()) for process in checkout.processes())
    assert "prefect" in names
    assert "http.server" in names
    run.send_signal(end)
    run.wait(60)
    deadline = time.monotonic() + 60
    while left := checkout.processes():
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.2)


def _is_stage(process: psutil.Process) -> bool:
    try:
        return any("recloop.stages" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False
