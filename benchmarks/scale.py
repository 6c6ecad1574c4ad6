"""Data of any size for `recloop evaluate`, and how long and how much memory it takes.

`python benchmarks/scale.py --interactions 25000000 --items 1000000 --users 2000000 --seconds 300`
makes a folder of people who walk through neighbourhoods of items, the popular ones more often, each item
with a title; then runs the command on it, and prints its seconds and its peak memory as JSON.
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
from alone import publish

from recloop import columns as c

# Items that are near to each other, and how often a step stays among them.
_NEIGHBOURHOOD, _STAYS = 40, 0.7
# Places from the end.
_TEST, _VALID = 1, 2
_WORDS = ("red", "small", "warm", "old", "quiet", "wooden", "early", "paper", "iron", "long")
_THINGS = ("lamp", "story", "garden", "song", "bridge", "coat", "river", "game", "letter", "cup")


def main(
    interactions: Annotated[int, typer.Option(help="Rows.")] = 25_000_000,
    items: Annotated[int, typer.Option()] = 1_000_000,
    users: Annotated[int, typer.Option()] = 2_000_000,
    models: Annotated[str, typer.Option(help="As in `recloop evaluate`.")] = "recloop,popularity",
    seconds: Annotated[float, typer.Option(help="Bound of training one sequence model.")] = 300,
    tuning: Annotated[str, typer.Option(help="Of the language model.")] = "frozen",
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Make, run, print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "walks")
        folder.mkdir()
        walks(interactions, items, users).write_parquet(folder / "interactions.parquet")
        catalogue(items).write_parquet(folder / "items.parquet")
        found, started = Path(name, "found.json"), time.monotonic()
        recloop = str(Path(sys.executable).with_name("recloop"))
        bounds = ["--models", models, "--seconds", str(seconds), "--tuning", tuning]
        command = [recloop, "evaluate", str(folder), *bounds, "--out", str(found)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = round(time.monotonic() - started, 1)
        document = json.loads(found.read_text(encoding="utf-8"))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        run = {"seconds": took, "peak_memory_mb": round(peak / 1024), "document": document}
        publish([run], folder, out)


def walks(count: int, items: int, users: int) -> pl.DataFrame:
    """Random walks in time; each user's last two steps are validation and test."""
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(users, size=count))
    popular = np.minimum((items * rng.random(count) ** 2).astype(np.int64), items - 1)
    near = rng.integers(1, _NEIGHBOURHOOD, count)
    stays = rng.random(count) < _STAYS
    stays[0] = False
    stays[1:] &= user[1:] == user[:-1]
    # A stay is a step from where the last jump went: all of them at once, no loop over the rows.
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
    """A title for each item; neighbours share words."""
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
