"""What each remedy against over-fitting does to the sequence model, one at a time.

`python benchmarks/overfitting.py DIR --seed 1 --epochs 24` takes a folder of `recloop evaluate`. Each
run keeps its best epoch on validation and answers the test; gains are paired with the default's run.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from alone import bootstrap, chosen, frozen_text, ndcg_of, prepared, publish, say

from recloop.benchmark.config import Protocol
from recloop.benchmark.dataset import read_folder
from recloop.data.interaction_log import InteractionLog
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.metrics import Values
from recloop.training.device import choose
from recloop.training.finetuning.fit import fit
from recloop.training.finetuning.sequence_model import FrozenText, TrainConfig
from recloop.training.finetuning.validation import judge_on

# Changes of the default settings; "tower." ones are of the tower.
REMEDIES: dict[str, dict[str, Any]] = {
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
    epochs: Annotated[int, typer.Option(help="Of each run.")] = 24,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    data = read_folder(folder)
    runs = []
    for number in seed or [1]:
        benchmark = prepared(data, protocol, number)
        train, test, side = benchmark.data.train, benchmark.asked, frozen_text(benchmark)
        valid = benchmark.data.valid.sample(2_000, number)
        users = bootstrap(test, number)
        default: Values | None = None
        for name, changes in REMEDIES.items():
            config = _changed(chosen(benchmark), changes, epochs)
            found, values = _run(train, side, config, valid, test)
            default = values if default is None else default
            gain = vars(users.interval(values - default))
            found |= {"test_ndcg@10": vars(users.interval(values)), "gain": gain}
            runs.append({"remedy": name, "seed": number, **found})
            say(json.dumps(runs[-1]))
    publish(runs, folder, out)


def _changed(config: TrainConfig, changes: dict[str, Any], epochs: int) -> TrainConfig:
    tower = {name.removeprefix("tower."): v for name, v in changes.items() if "tower." in name}
    plain = {name: value for name, value in changes.items() if "tower." not in name}
    told = config.model_dump() | plain | {"epochs": epochs, "judge_every": 2}
    told["tower"] |= tower
    return TrainConfig.model_validate(told)


def _run(
    train: InteractionLog, side: FrozenText, config: TrainConfig, valid: Requests, test: Requests
) -> tuple[dict[str, Any], Values]:
    started, judge = time.monotonic(), judge_on(valid, config.tower.window)
    model, history = fit(train.sequences(), side, config, choose("auto"), judge=judge)
    seconds = round(time.monotonic() - started, 1)
    values = ndcg_of(model, side, config, test)
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
