"""Short runs of the faults and the soak of benchmarks/robustness."""

import pytest

from benchmarks.robustness import faults, servers
from benchmarks.robustness.soak import soak
from benchmarks.robustness.traffic import STALE

pytestmark = pytest.mark.system
SECONDS = 4


def outcomes(found: dict, phase: str) -> set[str]:
    return {name.split()[1] for name in found["outcomes"][phase]}


def test_no_fault_loses_an_event_or_has_errors_after_its_end(tmp_path) -> None:
    found = dict(faults.faults(tmp_path, SECONDS))
    always = {"worker killed", "disk full", "model", "ranker hangs"}
    assert found.keys() == always | {"database away", "clock"}
    ran = {name: each for name, each in found.items() if "not run" not in each}
    assert ran.keys() >= always
    assert bool(servers.missing("initdb")) == ("database away" not in ran)
    for name, each in ran.items():
        assert each["acknowledged"] > 0, name
        assert each["lost"] == 0, name
        assert each["error_rate"]["before"] == 0, name
        assert each["error_rate"]["after"] == 0, name
        assert STALE not in outcomes(each, "before") | outcomes(each, "after"), name
    # A damaged model is refused, and the old one serves.
    assert outcomes(ran["model"], "during") == {"200"}
    assert outcomes(ran["ranker hangs"], "during") == {"200"}  # lists are served without the ranker
    assert outcomes(ran["disk full"], "during") == {"200", "503"}
    for name in ran.keys() & {"database away", "clock"}:
        assert outcomes(ran[name], "during") <= {"200", "503", STALE}, name


def test_a_short_soak_reports_no_failures(tmp_path) -> None:
    found = soak(servers.packaged(tmp_path), seconds=6, parts=3, rate=20)
    assert (found["failed"], found["lost"]) == (0, 0)
    assert found["acknowledged"] >= 50
    assert len(found["parts"]) == 3
    assert all(part["p99_ms"] >= part["p50_ms"] > 0 for part in found["parts"])
