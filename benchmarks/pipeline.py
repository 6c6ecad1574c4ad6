"""Stages of the pipeline, run in a temporary folder on all data of the source."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recloop.settings import read_settings

_PARAMS = Path(__file__).resolve().parent.parent / "params.yaml"
_HOME = "home"


def prepare_folder(folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write params.yaml and a home that has the downloaded sources and no feedback.

    Args:
        folder: Folder in which the stages will run.
        changes: Settings of each stage that differ from the checkout's params.yaml.
    """
    params = yaml.safe_load(_PARAMS.read_text(encoding="utf-8"))
    params["snapshot"]["history_share"] = 1.0
    for stage, settings in changes.items():
        params[stage] |= settings
    folder.joinpath("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    sources = read_settings().home.sources
    sources.mkdir(parents=True, exist_ok=True)
    folder.joinpath(_HOME).mkdir()
    folder.joinpath(_HOME, "sources").symlink_to(sources)


def run_stage(stage: str, folder: Path) -> float:
    """Run a stage in a prepared folder and return how many seconds it took."""
    started = time.monotonic()
    environment = {**os.environ, "RECLOOP_HOME": str(folder / _HOME)}
    command = [sys.executable, "-m", f"recloop.stages.{stage}"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return round(time.monotonic() - started, 1)
