"""Pipeline on all data of the source, for both protocols and several seeds.

`python -m benchmarks.offline --protocol temporal --seed 1 --seed 2` runs the stages of the pipeline
in a temporary folder, and prints the metrics of every model with intervals.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.output import command_line, machine, write_json
from recloop.settings import read_settings

CHECKOUT = Path(__file__).resolve().parent.parent
STAGES = ("snapshot", "split", "start", "train", "baselines", "export", "recommend", "evaluate")


def main(
    protocol: Annotated[list[str] | None, typer.Option(help="temporal, leave-one-out")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run the pipeline for every protocol and seed, and print the results."""
    protocols, seeds = protocol or ["temporal", "leave-one-out"], seed or [42]
    runs = [_run(p, s) for p in protocols for s in seeds]
    write_json({"command": command_line(), "machine": machine(), "runs": runs}, out)


def _run(protocol: str, seed: int) -> dict[str, Any]:
    params = yaml.safe_load(CHECKOUT.joinpath("params.yaml").read_text(encoding="utf-8"))
    params["snapshot"]["history"] = 1.0
    params["split"]["protocol"] = protocol
    params["train"]["seed"] = seed
    sources = read_settings().home.sources
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        # A home with the downloaded sources, without feedback.
        home = Path(folder, "home")
        home.mkdir()
        sources.mkdir(parents=True, exist_ok=True)
        home.joinpath("sources").symlink_to(sources)
        seconds = {stage: _run_stage(stage, folder, home) for stage in STAGES}
        metrics = json.loads(Path(folder, "reports", "metrics.json").read_text(encoding="utf-8"))
        training = json.loads(Path(folder, "reports", "training.json").read_text(encoding="utf-8"))
    return {"seed": seed, **metrics, "training": training, "seconds": seconds}


def _run_stage(stage: str, folder: str, home: Path) -> float:
    """Run a stage and return how many seconds it took."""
    started = time.monotonic()
    environment = {**os.environ, "RECLOOP_HOME": str(home)}
    command = [sys.executable, "-m", f"recloop.stages.{stage}"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return round(time.monotonic() - started, 1)


if __name__ == "__main__":
    typer.run(main)
