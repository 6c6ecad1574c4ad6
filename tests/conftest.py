"""What several test modules share: a small world, and a model packaged from it."""

import os

os.environ.update(
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    GX_ANALYTICS_ENABLED="false",
    BENTOML_DO_NOT_TRACK="True",
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
)

from pathlib import Path

import hypothesis
import pytest
import tiny
import world

from recloop.config import Home
from recloop.registry.payload import Payload

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile("recloop", deadline=None)
hypothesis.settings.load_profile("recloop")


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write(tmp_path_factory.mktemp("world"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home" / "bentoml"))
    return Home.from_environment()


@pytest.fixture(scope="session")
def payload() -> Payload:
    """A model of five films whose scores can be worked out; see `tiny`."""
    return tiny.payload()
