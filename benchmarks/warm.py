"""Warm start on the last tenth of the events, against training from scratch: time, accuracy, forgetting.

`python benchmarks/warm.py DIR --seed 1 --seed 2` takes a folder of `recloop evaluate`. The champion is
trained on everything before its validation part, which is the last tenth of what the challengers know.
Both answer the test requests; the forgetting check asks, of users who were not there in that tenth,
for the last item that the champion had learned from them, with what came before as history. Seconds
are those of the processor: what else runs on the machine does not count.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from alone import bootstrap, chosen, frozen_text, ndcg_of, prepared, publish

from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.benchmark.run import Benchmark
from recloop.training.device import choose
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.finetuning.validation import judge_on
from recloop.training.finetuning.warm_start import remembered

# Of the champion's epochs, those that the warm start takes.
SHARE = 1 / 6


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    data = read_folder(folder)
    runs = [_run(prepared(data, protocol, number), number) for number in seed or [1]]
    publish(runs, folder, out)


def _run(benchmark: Benchmark, seed: int) -> dict[str, Any]:
    train, past, side = benchmark.data.train, benchmark.data.past, frozen_text(benchmark)
    test, valid = benchmark.asked, benchmark.data.valid.sample(2_000, seed)
    same = np.diff(train.starts) == np.diff(past.starts)
    old = remembered(
        [
            trail
            for trail, kept in zip(train.sequences(), same[np.diff(train.starts) > 1], strict=True)
            if kept
        ],
        len(same),
        seed,
    )
    config, compute = chosen(benchmark), choose("auto")
    judge = judge_on(valid, config.tower.window)
    champion, history = fit(train.sequences(), side, config, compute, judge=judge)
    epochs = history.best_epochs()

    def scratch() -> SequenceModel:
        again = config.model_copy(update={"epochs": epochs})
        return fit(past.sequences(), side, again, compute)[0]

    def warm() -> SequenceModel:
        newer = config.continuing(epochs, SHARE)
        return fit(past.sequences(), side, newer, compute, start=champion)[0]

    models = {"champion": champion}
    seconds: dict[str, float] = {}
    for name, train_one in (("scratch", scratch), ("warm", warm)):
        models[name], seconds[name] = _timed(train_one)
    new, kept = (
        {name: ndcg_of(model, side, config, asked) for name, model in models.items()}
        for asked in (test, old)
    )
    users, before = bootstrap(test, seed), bootstrap(old, seed)
    return {
        "seed": seed,
        "epochs": {"scratch": epochs, "warm": config.continuing(epochs, SHARE).epochs},
        "seconds": seconds,
        "times_faster": round(seconds["scratch"] / seconds["warm"], 2),
        "test_ndcg@10": {name: vars(users.interval(values)) for name, values in new.items()},
        "warm_minus_scratch": vars(users.interval(new["warm"] - new["scratch"])),
        "old_ndcg@10": {name: vars(before.interval(values)) for name, values in kept.items()},
        "old_warm_minus_champion": vars(before.interval(kept["warm"] - kept["champion"])),
    }


def _timed(train: Callable[[], SequenceModel]) -> tuple[SequenceModel, float]:
    started = time.process_time()
    return train(), round(time.process_time() - started, 1)


if __name__ == "__main__":
    typer.run(main)
