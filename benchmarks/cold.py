"""New items: a tenth of the catalogue is hidden until the test.

`python benchmarks/cold.py DIR --seed 1` takes a folder of `recloop evaluate`. The hidden items stay in
the catalogue that is ranked. `warm_only` is the same model on the same training data in a world without
the hidden items: what it costs the others that new ones may be recommended at all.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from alone import publish, say

from recloop import columns as c
from recloop.evaluation.report import HEADLINE, OURS
from recloop.trials.config import TrialConfig
from recloop.trials.folder import read_folder
from recloop.trials.run import evaluate
from recloop.trials.timeline import Protocol

SHARE = 0.1
_INTERACTIONS, _ITEMS = "interactions.parquet", "items.parquet"


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.")] = None,
    protocol: Annotated[Protocol, typer.Option(help="As in `recloop evaluate`.")] = "temporal",
    seconds: Annotated[float, typer.Option(help="Bound of training one sequence model.")] = 900,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Run and print."""
    runs = [_run(folder, protocol, number, seconds) for number in seed or [1]]
    publish(runs, folder, out)


def _run(folder: Path, protocol: Protocol, seed: int, seconds: float) -> dict[str, Any]:
    rows, items = pl.read_parquet(folder / _INTERACTIONS), pl.read_parquet(folder / _ITEMS)
    order, size = np.random.default_rng(seed).permutation(items.height), round(SHARE * items.height)
    hidden = pl.col(c.ITEM).is_in(items[c.ITEM].gather(order[:size].tolist()).implode())
    shown = rows.filter(~(hidden & (pl.col("split") != "test")))
    without = shown.filter(~hidden)
    config = TrialConfig(
        models=(OURS, "text", "popularity"),
        protocol=protocol,
        repeats=False,
        seed=seed,
        seconds=seconds,
    )
    both = _slices(shown, items, config)
    warm_only = _slices(without, items.filter(~hidden), config)
    warm = {name: slices["warm items"][HEADLINE] for name, slices in both.items()}
    return {
        "seed": seed,
        "hidden_items": size,
        "models": both,
        "warm_only": warm_only,
        "warm_kept": round(warm[OURS] / warm_only[OURS]["warm items"][HEADLINE], 4),
        "cold_over_text": round(
            both[OURS]["cold items"][HEADLINE] / both["text"]["cold items"][HEADLINE], 3
        ),
    }


def _slices(rows: pl.DataFrame, items: pl.DataFrame, config: TrialConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        rows.write_parquet(Path(folder, _INTERACTIONS))
        items.write_parquet(Path(folder, _ITEMS))
        document = evaluate(read_folder(Path(folder)), config, say)
    return {
        name: {**model["slices"], HEADLINE: model[HEADLINE], "setting": model["setting"]}
        for name, model in document["models"].items()
    }


if __name__ == "__main__":
    typer.run(main)
