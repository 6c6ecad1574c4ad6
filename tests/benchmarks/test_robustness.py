"""Tests with hostile requests to the real service: clean responses, no lost event, no leak."""

import pytest

from benchmarks.robustness import servers
from benchmarks.robustness.hostile import run
from benchmarks.robustness.soak import growth

pytestmark = pytest.mark.system


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    if request.param == "sqlite":
        yield None
    elif servers.missing("initdb"):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    else:
        with servers.postgres() as server:
            yield server


def test_hostile_requests_are_answered_cleanly_and_lose_nothing(tmp_path, database) -> None:
    found = run(servers.packaged(tmp_path), requests=1_800, database=database)
    assert found["wrong"] == []
    assert found["lost"] == []
    assert found["acknowledged"] == 200  # every ninth request is a sound event
    assert found["statuses"]["large 413"] == 5
    assert found["memory_bytes"][-1] < found["memory_bytes"][0] + 100_000_000


def test_growth_ignores_the_first_quarter() -> None:
    assert growth([10, 100, 101, 102]) == pytest.approx(4)  # one each of four parts, from 100 on
    assert growth([1, 1, 50, 50, 50, 50, 50, 50]) == pytest.approx(0)
