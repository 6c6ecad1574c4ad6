"""The pipeline on all of the source's data, for both protocols and several seeds, as JSON.

`python benchmarks/offline.py --protocol temporal --seed 1 --seed 2` runs the same stages as the loop,
in a folder of its own, and prints every model's metrics with intervals.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from recloop.settings import read_settings

CHECKOUT = Path(__file__).resolve().parent.parent
STAGES = ("snapshot", "split", "start", "train", "baselines", "export", "recommend", "evaluate")


def main(
    protocol: Annotated[list[str] | None, typer.Option(help="temporal, leave-one-out")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    protocols, seeds = protocol or ["temporal", "leave-one-out"], seed or [42]
    runs = [_run(p, s) for p in protocols for s in seeds]
    machine = {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    document = json.dumps(
        {"command": " ".join(sys.argv), "machine": machine, "runs": runs}, indent=2
    )
    if out:
        out.write_text(document + "\n", encoding="utf-8")
    print(document)


def _run(protocol: str, seed: int) -> dict[str, Any]:
    params = yaml.safe_load(CHECKOUT.joinpath("params.yaml").read_text(encoding="utf-8"))
    params["snapshot"]["history"] = 1.0
    params["split"]["protocol"] = protocol
    params["train"]["seed"] = seed
    sources = read_settings().home.sources
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        # The sources that are downloaded already, but none of the feedback.
        scratch = Path(folder, "home")
        scratch.mkdir()
        sources.mkdir(parents=True, exist_ok=True)
        scratch.joinpath("sources").symlink_to(sources)
        seconds = {stage: _stage(stage, folder, scratch) for stage in STAGES}
        metrics = json.loads(Path(folder, "reports", "metrics.json").read_text(encoding="utf-8"))
        training = json.loads(Path(folder, "reports", "training.json").read_text(encoding="utf-8"))
    return {"seed": seed, **metrics, "training": training, "seconds": seconds}


def _stage(stage: str, folder: str, home: Path) -> float:
    started = time.monotonic()
    environment = {**os.environ, "RECLOOP_HOME": str(home), "PYTHONPATH": str(CHECKOUT / "src")}
    command = [sys.executable, "-m", f"recloop.stages.{stage}"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return round(time.monotonic() - started, 1)


if __name__ == "__main__":
    typer.run(main)
