"""Tests of what the command line and the stages load when they are imported.

Start-up is most of the time of a small run: PyTorch takes 2 s of CPU to import, transformers and
peft 4 s more, Great Expectations 5 s. They are imported in the functions that need them.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SLOW = (
    *("torch", "transformers", "peft", "onnx", "sklearn", "lightgbm", "pandas", "pyarrow"),
    *("great_expectations", "evidently", "bentoml", "fastapi", "prefect", "dvc"),
    *("onnxruntime", "scipy", "polars", "sqlalchemy", "alembic"),
)
FRAMES = {"polars"}
SCORING = {"polars", "scipy", "onnxruntime"}
# Modules of one row may load the same packages and are imported by one process.
ALLOWED: dict[tuple[str, ...], set[str]] = {
    ("recloop.cli.main",): FRAMES,
    tuple(f"recloop.stages.{s}" for s in ("validate", "split", "evaluate", "reference")): FRAMES,
    ("recloop.stages.snapshot",): {*FRAMES, "sqlalchemy"},
    tuple(f"recloop.stages.{s}" for s in ("start", "recommend", "compare")): SCORING,
    tuple(f"recloop.stages.{s}" for s in ("pretrain", "train", "ranker", "baselines", "export")): {
        *SCORING,
        "torch",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("modules", ALLOWED, ids=lambda modules: modules[0])
def test_only_these_slow_packages_are_loaded(modules: tuple[str, ...]) -> None:
    program = (
        f"import json, sys, {', '.join(modules)}\n"
        f"print(json.dumps([name for name in {SLOW!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert set(json.loads(done.stdout)) <= ALLOWED[modules]


def test_every_stage_is_in_the_table() -> None:
    pipeline = Path(__file__).parents[1] / "dvc.yaml"
    stages = set(yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"])
    named = {module for modules in ALLOWED for module in modules}
    assert {f"recloop.stages.{stage}" for stage in stages} <= named
