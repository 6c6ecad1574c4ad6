"""How long the sequence model takes to the accuracy of RecTools' SASRec, and where it ends.

`python benchmarks/timing.py DIR PEER.json` takes a folder of `recloop evaluate` and what
`benchmarks/peers/run.py --peer rectools-sasrec` left for it in its work folder (`rectools-sasrec.json`,
whose trace holds NDCG@10 on the same validation requests against seconds of training). Seconds of
judging are not counted, on either side. Run both alone on one machine.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from alone import chosen, frozen_text, prepared, publish
from torch import Tensor

from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.training.device import choose
from recloop.training.finetuning.fit import Judge, fit
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.finetuning.validation import judge_on


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    peer: Annotated[Path, typer.Argument(exists=True)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "next-item",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    theirs = json.loads(peer.read_text(encoding="utf-8"))
    best = max(theirs["trace"], key=lambda entry: entry["ndcg@10"])
    data = read_folder(folder)
    runs = []
    for number in seed or [1]:
        benchmark = prepared(data, protocol, number)
        config = chosen(benchmark).model_copy(update={"judge_every": 1})
        clock = _Clock(judge_on(benchmark.data.valid, config.tower.window))
        sequences, side = benchmark.data.train.sequences(), frozen_text(benchmark)
        fit(sequences, side, config, choose("auto"), judge=clock.judge)
        there = [entry for entry in clock.trace if entry["ndcg@10"] >= best["ndcg@10"]]
        runs.append(
            {
                "seed": number,
                "seconds_to_theirs": there[0]["seconds"] if there else None,
                "share_of_their_time": there[0]["seconds"] / best["seconds"] if there else None,
                "best": max(entry["ndcg@10"] for entry in clock.trace),
                "trace": clock.trace,
            }
        )
    publish(runs, folder, out, theirs=best)


class _Clock:
    """Judges, and notes the seconds of training until then."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._since, self._seconds = time.monotonic(), 0.0
        self.trace: list[dict[str, float]] = []

    def judge(self, model: SequenceModel, text: Tensor) -> float:
        self._seconds += time.monotonic() - self._since
        quality = self._judge(model, text)
        self.trace.append({"seconds": round(self._seconds, 2), "ndcg@10": round(quality, 5)})
        self._since = time.monotonic()
        return quality


if __name__ == "__main__":
    typer.run(main)
