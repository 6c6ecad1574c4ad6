"""Hostile requests to the real service: clean answers, nothing lost, no memory gone."""

import pytest

from benchmarks.robustness.hostile import run
from benchmarks.robustness.servers import packaged

pytestmark = pytest.mark.system


def test_hostile_requests_are_answered_cleanly_and_lose_nothing(tmp_path) -> None:
    found = run(packaged(tmp_path), requests=900)
    assert found["wrong"] == []
    assert found["lost"] == []
    assert found["acknowledged"] == 100  # every ninth request is a sound event
    assert found["statuses"]["large 413"] == 5
    before, after = found["memory_bytes"]["before"], found["memory_bytes"]["after"]
    assert after < before + 50_000_000
