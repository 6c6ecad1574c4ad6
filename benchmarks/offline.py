"""Pipeline on all data of the source, for both protocols and several seeds.

`python -m benchmarks.offline --protocol temporal --seed 1 --seed 2` runs the stages of the pipeline
in a temporary folder, and prints the metrics of every model with intervals.
"""

import itertools
import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.output import command_line, log, machine, write_json
from benchmarks.pipeline import prepare_folder, run_stage

STAGES = (
    "snapshot",
    "split",
    "pretrain",
    "start",
    "train",
    "ranker",
    "baselines",
    "export",
    "recommend",
    "evaluate",
)


def main(
    protocol: Annotated[list[str] | None, typer.Option(help="temporal, leave-one-out")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run the pipeline for every protocol and seed, and print the results."""
    protocols, seeds = protocol or ["temporal", "leave-one-out"], seed or [42]
    runs: list[dict[str, Any]] = []
    document = {"command": command_line(), "machine": machine(), "runs": runs}
    for each, number in itertools.product(protocols, seeds):
        runs.append(_run(each, number))
        measured = runs[-1]["models"]["recloop"]["ndcg@10"]
        log(f"{each}, seed {number}: recloop's NDCG@10 {measured}")
        if out:  # a run that is stopped later keeps what it has measured
            out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    write_json(document, None)


def _run(protocol: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_folder(folder, {"split": {"protocol": protocol}, "train": {"seed": seed}})
        seconds = {stage: run_stage(stage, folder) for stage in STAGES}
        metrics, training = (
            json.loads(folder.joinpath("reports", file).read_text(encoding="utf-8"))
            for file in ("metrics.json", "training.json")
        )
    return {"seed": seed, **metrics, "training": training, "seconds": seconds}


if __name__ == "__main__":
    typer.run(main)
