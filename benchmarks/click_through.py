"""Click-through prediction on MovieLens: recloop and baselines, on several splits and seeds.

`python -m benchmarks.click_through FOLDER` reads `ml-latest-small` (ratings.csv, movies.csv) or
RecBole's `ml-100k` (.inter, .item). The label is 1 for a rating above 3. Splits: `period` (the
first half of the time between the first and the last row is the training part, the next quarter
the validation part, the last quarter the test part), `time` (80/10/10 by time over all users),
`last` (the last five rows of each user are the test part, the five before them the validation part)
and `random` (80/10/10, without an order). Only recloop's model depends on the seed; the baselines
run once, with the first one.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer

from benchmarks.output import command_line, log, machine, write_json
from recloop.ctr import CtrConfig, Problem, ctr_models
from recloop.ctr.folds import kind_of
from recloop.ctr.metrics import report
from recloop.evaluation.report import RECLOOP

_DISLIKED_RATING = 3
_TEST_ROWS = 5
# Shares of the training and the validation part, of the rows and of the period.
_TRAIN, _VALID = 0.8, 0.1
_TRAIN_PERIOD, _VALID_PERIOD = 0.5, 0.25


def main(
    folder: Annotated[list[Path], typer.Argument(help="Folders of data sets.")],
    split: Annotated[list[str] | None, typer.Option(help="period, time, last, random")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    reveal: Annotated[str, typer.Option(help="training, earlier")] = "training",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure every data set, split and seed, and print the results."""
    runs = [
        _run(data, one, number, reveal, baselines=number == (seed or [42])[0])
        for data in folder
        for one in split or ["period", "time", "last", "random"]
        for number in seed or [42]
    ]
    write_json({"command": command_line(), "machine": machine(), "runs": runs}, out)


def _run(folder: Path, split: str, seed: int, reveal: str, *, baselines: bool) -> dict[str, Any]:
    ratings, texts = _read(folder)
    problem = Problem.from_frame(_split(ratings, split), texts)
    config = CtrConfig.model_validate({"seed": seed, "reveal": reveal})
    models: dict[str, Any] = {}
    for name, model in ctr_models(config).items():
        if name != RECLOOP and not baselines:
            continue
        started = time.monotonic()
        found = report(problem.test.users, problem.test.labels, model(problem))
        models[name] = {**found, "seconds": round(time.monotonic() - started, 1)}
        log(f"{folder.name} {split} {seed} {name} {found}")
    rows = {name: len(getattr(problem, name)) for name in ("train", "valid", "test")}
    kind = kind_of(problem.train_and_valid, problem.test)
    return {
        "data": folder.name,
        "split": split,
        "kind": kind,
        "reveal": reveal,
        "seed": seed,
        "rows": rows,
        "models": models,
    }


def _read(folder: Path) -> tuple[pl.DataFrame, list[str]]:
    """Return a table with user, item, order and label, and the texts of the items."""
    inter = folder / f"{folder.name}.inter"
    if inter.exists():
        ratings = pl.read_csv(inter, separator="\t", new_columns=["u", "i", "rating", "order"])
        films = pl.read_csv(
            folder / f"{folder.name}.item", separator="\t", quote_char=None, infer_schema=False
        )
        text_of = {int(row[0]): " ".join(map(str, row[1:])) for row in films.iter_rows()}
    else:
        ratings = pl.read_csv(folder / "ratings.csv", new_columns=["u", "i", "rating", "order"])
        films = pl.read_csv(folder / "movies.csv")
        text_of = {row[0]: f"{row[1]} {row[2].replace('|', ' ')}" for row in films.iter_rows()}
    _, user = np.unique(ratings["u"], return_inverse=True)
    ids, item = np.unique(ratings["i"], return_inverse=True)
    frame = pl.DataFrame(
        {
            "user": user.astype(np.int32),
            "item": item.astype(np.int32),
            "order": ratings["order"].cast(pl.Int64),
            "label": (ratings["rating"] > _DISLIKED_RATING).cast(pl.Float32),
        }
    ).sort("order", "user", "item")
    return frame, [text_of.get(int(one), "") for one in ids]


def _split(frame: pl.DataFrame, split: str) -> pl.DataFrame:
    if split == "last":
        left = pl.len().over("user") - pl.int_range(pl.len()).over("user")
        test, valid = left <= _TEST_ROWS, left <= 2 * _TEST_ROWS
    elif split == "period":
        at = pl.col("order")
        passed = (at - at.min()) / (at.max() - at.min())
        test, valid = passed >= _TRAIN_PERIOD + _VALID_PERIOD, passed >= _TRAIN_PERIOD
    elif split == "time":
        at = pl.col("order")
        test, valid = at > at.quantile(_TRAIN + _VALID), at > at.quantile(_TRAIN)
    else:
        frame = frame.with_columns(order=pl.lit(None, pl.Int64))
        drawn = pl.Series(np.random.default_rng(0).random(frame.height))
        test, valid = pl.lit(drawn) > _TRAIN + _VALID, pl.lit(drawn) > _TRAIN
    part = pl.when(test).then(pl.lit("test")).when(valid).then(pl.lit("valid"))
    return frame.with_columns(split=part.otherwise(pl.lit("train")))


if __name__ == "__main__":
    typer.run(main)
