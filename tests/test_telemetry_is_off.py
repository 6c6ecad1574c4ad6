"""Tests that dependencies send and store no usage data unless the user asks for it."""

import os
import subprocess
import sys
from pathlib import Path

from flows.shell import child_environment

_OPEN_A_SESSION = """
from recloop.scoring.onnx_session import open_session
from tests.support import tiny_model
open_session(tiny_model.payload().tower)
"""


def test_onnx_runtime_stores_no_usage_data(tmp_path: Path) -> None:
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    code = f"import sys; sys.path[:0] = ['src', '.']\n{_OPEN_A_SESSION}"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
    )
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []


def test_everything_that_make_starts_runs_without_telemetry() -> None:
    started = child_environment()
    assert started["DO_NOT_TRACK"] == started["ORT_DISABLE_TELEMETRY"] == "1"
    assert started["GX_ANALYTICS_ENABLED"] == "false"
    assert started["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert started["BENTOML_DO_NOT_TRACK"] == "True"
