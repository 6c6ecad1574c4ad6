"""Training time until the sequence model is as accurate as RecTools' SASRec, and its best accuracy.

`python -m benchmarks.time_to_accuracy FOLDER PEER.json` takes a folder of `recloop evaluate` and
`rectools-sasrec.json`, which `benchmarks.peers.run --peer rectools-sasrec` writes into its work
folder for the same data. The `trace` in that file has NDCG@10 on the same validation requests over
the seconds of training. Time spent on validation does not count for either model. Run both on one
machine that is otherwise idle.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from benchmarks.common import frozen_text, prepare_data_set, publish, settings_from_benchmark
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.training.device import choose
from recloop.training.finetuning.fit import ValidationMetric, fit
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.finetuning.validation import validation_metric


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    peer: Annotated[Path, typer.Argument(exists=True)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "next-item",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Train with each seed, compare with the peer and print the results."""
    trace_of_peer = json.loads(peer.read_text(encoding="utf-8"))["trace"]
    best = max(trace_of_peer, key=lambda entry: entry["ndcg@10"])
    data = read_folder(folder)
    runs = []
    for number in seed or [1]:
        benchmark = prepare_data_set(data, protocol, number)
        config = settings_from_benchmark(benchmark).model_copy(update={"validate_every": 1})
        timed = _TimedValidation(validation_metric(benchmark.data.valid, config.tower.window))
        sequences, text = benchmark.data.train.sequences(), frozen_text(benchmark)
        fit(sequences, text, config, choose("auto"), validate=timed.validate)
        reached = [entry for entry in timed.trace if entry["ndcg@10"] >= best["ndcg@10"]]
        runs.append(
            {
                "seed": number,
                "seconds_to_theirs": reached[0]["seconds"] if reached else None,
                "share_of_their_time": reached[0]["seconds"] / best["seconds"] if reached else None,
                "best": max(entry["ndcg@10"] for entry in timed.trace),
                "trace": timed.trace,
            }
        )
    publish(runs, folder, out, theirs=best)


class _TimedValidation:
    """Validation that records NDCG@10 and the seconds of training before it."""

    def __init__(self, validate: ValidationMetric) -> None:
        self._validate = validate
        self._since, self._seconds = time.monotonic(), 0.0
        self.trace: list[dict[str, float]] = []

    def validate(self, model: SequenceModel, text: Tensor) -> float:
        self._seconds += time.monotonic() - self._since
        quality = self._validate(model, text)
        self.trace.append({"seconds": round(self._seconds, 2), "ndcg@10": round(quality, 5)})
        self._since = time.monotonic()
        return quality


if __name__ == "__main__":
    typer.run(main)
