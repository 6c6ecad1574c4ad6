"""Fixtures of several test modules: a small data set, and a model packaged from it."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores. Libraries read it when they are imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    GX_ANALYTICS_ENABLED="false",
    BENTOML_DO_NOT_TRACK="True",
    ORT_DISABLE_TELEMETRY="1",
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
)

from pathlib import Path

import hypothesis
import pytest

from recloop.config import Home
from recloop.registry.payload import Payload
from recloop.settings import read_settings
from tests.support import synthetic_shop, tiny_model

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("recloop", deadline=None)
hypothesis.settings.load_profile("recloop")


_SYSTEM_SECONDS = 3_600
# One process is busy with it while the others run everything else.
_LONGEST = "test_system.py"


@pytest.hookimpl(trylast=True)  # after the random order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of real servers an hour, and put the file that takes longest first.

    A test of servers ends earlier where a process makes no progress.
    """
    for item in items:
        if item.get_closest_marker("system") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SYSTEM_SECONDS))
    items.sort(key=lambda item: item.path.name != _LONGEST)


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_shop.write(tmp_path_factory.mktemp("world"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home" / "bentoml"))
    return read_settings().home


@pytest.fixture(scope="session")
def payload() -> Payload:
    """Return a model of five films whose scores can be worked out; see `tiny_model`."""
    return tiny_model.payload()
