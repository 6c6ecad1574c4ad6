"""The real service ends, with the reason in its log, if a setting keeps it from starting."""

import pytest

from benchmarks.robustness.servers import Replica, packaged
from flows.processes import StartError

pytestmark = pytest.mark.system


def test_a_policy_file_that_cannot_be_read_ends_the_service(tmp_path) -> None:
    policy, home = tmp_path / "policy.yaml", packaged(tmp_path)
    policy.write_bytes(b"\xff\xfe")
    replica = Replica(home, extra={"RECLOOP_POLICY": str(policy)})
    with pytest.raises(StartError, match="ended while starting"):
        replica.start()
    replica.stop()
    text = (home.logs / "replica.log").read_text("utf-8")
    assert "the service cannot start" in text
    assert "UnicodeDecodeError" not in text  # no stack trace
