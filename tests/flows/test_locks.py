"""Tests of the locks of a home: one retrain and one system at a time, whoever holds them."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.retrain import retrain
from flows.retrain_tasks import RetrainRunningError, retrain_lock
from flows.system import Addresses, System, SystemRunningError
from recloop.config import Home
from recloop.settings import read_settings

HOLD = """
import sys
from pathlib import Path
from flows.retrain_tasks import retrain_lock
from recloop.config import Home
with retrain_lock(Home(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_retrain_of_a_home_is_refused_until_the_first_ends(home: Home) -> None:
    refused = pytest.raises(RetrainRunningError, match="another retrain is running")
    with retrain_lock(home), refused, retrain_lock(home):
        pass
    with retrain_lock(home):
        pass


def test_a_retrain_of_another_process_is_refused_and_its_death_frees_the_lock(home: Home) -> None:
    command = [sys.executable, "-c", HOLD, str(home.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RetrainRunningError), retrain_lock(home):
            pass
        holder.kill()
        holder.wait(10)
    with retrain_lock(home):
        pass


def test_a_retrain_beside_another_is_refused_and_changes_nothing(home: Home) -> None:
    with retrain_lock(home):
        with pytest.raises(RetrainRunningError, match="another retrain is running in this home"):
            retrain.fn()
        assert [path.name for path in home.root.iterdir()] == ["retrain.lock"]


def test_a_second_system_of_a_home_is_refused_and_the_first_is_found(home: Home) -> None:
    settings = read_settings()
    with System.running(settings) as system:
        assert Addresses.of_running(home) == system.addresses
        second = System.running(settings)
        with pytest.raises(SystemRunningError, match="a system is running"), second:
            pass
    assert Addresses.of_running(home) is None


def test_addresses_that_a_killed_system_left_behind_are_not_used(home: Home) -> None:
    home.root.mkdir(parents=True)
    record = '{"prefect": "http://a", "service": "http://b", "reports": "http://c"}'
    Path(home.root, "system-addresses.json").write_text(record)
    assert Addresses.of_running(home) is None
