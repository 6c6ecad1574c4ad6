"""Time and memory of `recloop evaluate` on synthetic data of any size.

`python -m benchmarks.scale --interactions 25000000 --items 1000000 --users 2000000 --seconds 300`
writes synthetic users' random walks over neighbourhoods of items, in which popular items occur more
often, and a title for each item. It then runs `recloop evaluate` on them and prints the seconds and
the peak memory that it took.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer

from benchmarks.common import publish
from recloop import columns as c

# Number of items of a neighbourhood, and the probability that a step stays in it.
_NEIGHBOURHOOD, _STAY_PROBABILITY = 40, 0.7
# Positions of the test and the validation item, counted from the end of a user's sequence.
_TEST, _VALID = 1, 2
_WORDS = ("red", "small", "warm", "old", "quiet", "wooden", "early", "paper", "iron", "long")
_THINGS = ("lamp", "story", "garden", "song", "bridge", "coat", "river", "game", "letter", "cup")


def main(
    interactions: Annotated[int, typer.Option(help="Number of rows.")] = 25_000_000,
    items: Annotated[int, typer.Option(help="Number of items.")] = 1_000_000,
    users: Annotated[int, typer.Option(help="Number of users.")] = 2_000_000,
    models: Annotated[str, typer.Option(help="As in `recloop evaluate`.")] = "recloop,popularity",
    seconds: Annotated[float, typer.Option(help="Longest training of a sequence model.")] = 300,
    tuning: Annotated[str, typer.Option(help="Tuning of the language model.")] = "frozen",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Write the data, evaluate it and print the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "walks")
        folder.mkdir()
        walks(interactions, items, users).write_parquet(folder / "interactions.parquet")
        catalogue(items).write_parquet(folder / "items.parquet")
        result, started = Path(name, "result.json"), time.monotonic()
        recloop = str(Path(sys.executable).with_name("recloop"))
        options = ["--models", models, "--seconds", str(seconds), "--tuning", tuning]
        command = [recloop, "evaluate", str(folder), *options, "--out", str(result)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = round(time.monotonic() - started, 1)
        document = json.loads(result.read_text(encoding="utf-8"))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        run = {"seconds": took, "peak_memory_mb": round(peak / 1024), "document": document}
        publish([run], folder, out)


def walks(count: int, items: int, users: int) -> pl.DataFrame:
    """Return random walks; the last two items of each user are for validation and test."""
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(users, size=count))
    popular = np.minimum((items * rng.random(count) ** 2).astype(np.int64), items - 1)
    near = rng.integers(1, _NEIGHBOURHOOD, count)
    stays = rng.random(count) < _STAY_PROBABILITY
    stays[0] = False
    stays[1:] &= user[1:] == user[:-1]
    # Each stay is near the item of the last jump before it, which is found for all rows at once.
    jump = np.maximum.accumulate(np.where(stays, 0, np.arange(count)))
    item = np.where(stays, (popular[jump] + near) % items, popular)
    table = pl.DataFrame({c.USER: user, c.ITEM: item, c.TIME: 1_600_000_000 + np.arange(count)})
    from_end = pl.int_range(pl.len(), 0, -1).over(c.USER)
    part = (
        pl.when(from_end == _TEST)
        .then(pl.lit("test"))
        .when(from_end == _VALID)
        .then(pl.lit("valid"))
    )
    return table.with_columns(part.otherwise(pl.lit("train")).alias("split"))


def catalogue(items: int) -> pl.DataFrame:
    """Return a title for each item; items of a neighbourhood share words."""
    block = pl.int_range(items, eager=True) // _NEIGHBOURHOOD
    words = pl.DataFrame({"a": _WORDS})["a"].gather(block % len(_WORDS))
    things = pl.DataFrame({"a": _THINGS})["a"].gather(block // len(_WORDS) % len(_THINGS))
    numbers = pl.int_range(items, eager=True)
    titles = pl.DataFrame({"w": words, "t": things, "n": numbers}).select(
        pl.format("{} {} {}", "w", "t", "n")
    )
    return pl.DataFrame({c.ITEM: numbers, c.TITLE: titles.to_series()})


if __name__ == "__main__":
    typer.run(main)
