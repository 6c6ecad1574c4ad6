"""Warm start on the newest tenth of the events, against training from scratch.

`python -m benchmarks.warm_start FOLDER --seed 1 --seed 2` takes a folder of `recloop evaluate`. The
champion is trained on everything before the validation part, which is the newest tenth of the data
of the challengers. Measured are training time, accuracy on the test requests, and forgetting: each
request of that check is for the last item that the champion learned from a user who is not in the
newest tenth, with the items before it as the history. Times are CPU seconds of this process, so
other processes do not affect them.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.common import (
    bootstrap,
    frozen_text,
    ndcg_per_request,
    prepare_data_set,
    publish,
    settings_from_benchmark,
)
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.benchmark.preparation import Benchmark
from recloop.training.device import choose
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import SequenceModel
from recloop.training.finetuning.validation import validation_metric
from recloop.training.finetuning.warm_start import forgetting_requests

# Share of the champion's epochs for which the warm start trains.
EPOCH_SHARE = 1 / 6


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure each seed and print the results."""
    data = read_folder(folder)
    runs = [_run(prepare_data_set(data, protocol, number), number) for number in seed or [1]]
    publish(runs, folder, out)


def _run(benchmark: Benchmark, seed: int) -> dict[str, Any]:
    train, past, text = benchmark.data.train, benchmark.data.past, frozen_text(benchmark)
    test, valid = benchmark.test_requests, benchmark.data.valid.sample(2_000, seed)
    # Users without events in the newest tenth.
    unchanged = np.diff(train.starts) == np.diff(past.starts)
    old = forgetting_requests(
        [
            sequence
            for sequence, kept in zip(
                train.sequences(), unchanged[np.diff(train.starts) > 1], strict=True
            )
            if kept
        ],
        len(unchanged),
        seed,
    )
    config, compute = settings_from_benchmark(benchmark), choose("auto")
    validate = validation_metric(valid, config.tower.window)
    champion, history = fit(train.sequences(), text, config, compute, validate=validate)
    epochs = history.best_epochs()

    def from_scratch() -> SequenceModel:
        same_epochs = config.model_copy(update={"epochs": epochs})
        return fit(past.sequences(), text, same_epochs, compute)[0]

    def warm() -> SequenceModel:
        fewer_epochs = config.continuing(epochs, EPOCH_SHARE)
        return fit(past.sequences(), text, fewer_epochs, compute, start=champion)[0]

    models = {"champion": champion}
    seconds: dict[str, float] = {}
    for name, train_one in (("scratch", from_scratch), ("warm", warm)):
        models[name], seconds[name] = _timed(train_one)
    on_test, on_old = (
        {name: ndcg_per_request(model, text, config, requests) for name, model in models.items()}
        for requests in (test, old)
    )
    test_users, old_users = bootstrap(test, seed), bootstrap(old, seed)
    return {
        "seed": seed,
        "epochs": {"scratch": epochs, "warm": config.continuing(epochs, EPOCH_SHARE).epochs},
        "seconds": seconds,
        "times_faster": round(seconds["scratch"] / seconds["warm"], 2),
        "test_ndcg@10": {
            name: vars(test_users.interval(values)) for name, values in on_test.items()
        },
        "warm_minus_scratch": vars(test_users.interval(on_test["warm"] - on_test["scratch"])),
        "old_ndcg@10": {name: vars(old_users.interval(values)) for name, values in on_old.items()},
        "old_warm_minus_champion": vars(old_users.interval(on_old["warm"] - on_old["champion"])),
    }


def _timed(train: Callable[[], SequenceModel]) -> tuple[SequenceModel, float]:
    """Return the trained model and the CPU seconds of its training."""
    started = time.process_time()
    return train(), round(time.process_time() - started, 1)


if __name__ == "__main__":
    typer.run(main)
