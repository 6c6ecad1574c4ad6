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

import torch
import typer
from alone import publish, say
from torch import Tensor

from recloop.training.device import choose
from recloop.training.finetune import Judge, fit
from recloop.training.judge import judge_on
from recloop.training.sequence import FrozenText, SequenceModel
from recloop.trials.folder import read_folder
from recloop.trials.neural import Bounds, settings
from recloop.trials.texts import text_vectors
from recloop.trials.timeline import VALID_PART, Protocol, Timeline


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
    whole = Timeline.of(data, repeats=False)
    train = whole.until(VALID_PART)
    valid = whole.requests(VALID_PART, protocol, repeats=False)
    side = FrozenText(torch.from_numpy(text_vectors(data, train, say)))
    runs = []
    for number in seed or [1]:
        config = settings(train, Bounds(900, number, say), use_text=True)
        config = config.model_copy(update={"judge_every": 1})
        clock = _Clock(judge_on(valid, config.tower.window))
        fit(train.trails(), side, config, choose("auto"), judge=clock.judge)
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
