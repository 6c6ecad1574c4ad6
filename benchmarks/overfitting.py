"""Effect of each regularisation method on the sequence model, one at a time.

`python -m benchmarks.overfitting FOLDER --seed 1 --epochs 24` takes a folder of `recloop evaluate`.
Each run keeps the epoch with the best validation result and is evaluated on the test requests. Its
gain is the paired difference from the run with default settings.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common import (
    bootstrap,
    frozen_text,
    ndcg_per_request,
    prepare_data_set,
    publish,
    settings_from_benchmark,
)
from benchmarks.output import log
from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.data.interaction_log import InteractionLog
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.metrics import Values
from recloop.training.device import choose
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import FrozenTextVectors, TrainConfig
from recloop.training.finetuning.validation import validation_metric

# Changes of the default settings; those that begin with "tower." are settings of the tower.
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "no dropout": {"tower.dropout": 0.0},
    "no ID dropout": {"tower.id_dropout": 0.0},
    "text dropout .2": {"tower.text_dropout": 0.2},
    "no weight decay": {"weight_decay": 0.0},
    "weight decay .1": {"weight_decay": 0.1},
    "label smoothing .1": {"label_smoothing": 0.1},
    "crop .5": {"augment": {"crop": 0.5}},
    "mask .1": {"augment": {"mask": 0.1}},
    "reorder .5": {"augment": {"reorder": 0.5}},
    "batches of 16": {"batch": 16},
    "batches of 256": {"batch": 256},
    "patience 3": {"patience": 3},
    "sampled softmax, 256": {"negatives": 256},
    "binary cross-entropy, 256": {"negatives": 256, "loss": "bce"},
}


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    epochs: Annotated[int, typer.Option(help="Number of epochs of each run.")] = 24,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure every method for each seed and print the results."""
    data = read_folder(folder)
    runs = []
    for number in seed or [1]:
        benchmark = prepare_data_set(data, protocol, number)
        train, test, text = benchmark.data.train, benchmark.test_requests, frozen_text(benchmark)
        valid = benchmark.data.valid.sample(2_000, number)
        users = bootstrap(test, number)
        default: Values | None = None
        for name, changes in METHODS.items():
            config = _changed(settings_from_benchmark(benchmark), changes, epochs)
            facts, values = _run(train, text, config, valid, test)
            default = values if default is None else default
            gain = vars(users.interval(values - default))
            facts |= {"test_ndcg@10": vars(users.interval(values)), "gain": gain}
            runs.append({"remedy": name, "seed": number, **facts})
            log(json.dumps(runs[-1]))
    publish(runs, folder, out)


def _changed(config: TrainConfig, changes: dict[str, Any], epochs: int) -> TrainConfig:
    tower = {name.removeprefix("tower."): v for name, v in changes.items() if "tower." in name}
    others = {name: value for name, value in changes.items() if "tower." not in name}
    settings = config.model_dump() | others | {"epochs": epochs, "validate_every": 2}
    settings["tower"] |= tower
    return TrainConfig.model_validate(settings)


def _run(
    train: InteractionLog,
    text: FrozenTextVectors,
    config: TrainConfig,
    valid: Requests,
    test: Requests,
) -> tuple[dict[str, Any], Values]:
    started, validate = time.monotonic(), validation_metric(valid, config.tower.window)
    model, history = fit(train.sequences(), text, config, choose("auto"), validate=validate)
    seconds = round(time.monotonic() - started, 1)
    values = ndcg_per_request(model, text, config, test)
    last = history.epochs[-1]
    return {
        "best_epoch": history.best_epochs(),
        "epochs": int(last["epoch"]),
        "last_loss": round(last["loss"], 4),
        "valid_ndcg@10": round(history.best_quality(), 4),
        "seconds": seconds,
    }, values


if __name__ == "__main__":
    typer.run(main)
