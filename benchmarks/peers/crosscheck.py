"""Compare recloop's metrics with those of RecTools and LensKit, on any table of lists.

`python -m benchmarks.peers.crosscheck FOLDER LISTS.parquet` compares the value of each request at
5, 10 and 20, and exits with 1 if a metric of the same definition differs by more than 1e-6. Where a
library defines a metric differently, its value is derived from ours and compared as well:

* RecTools' NDCG divides by the gain of k relevant items unless `divide_by_achievable` is set; ours
  divides by the largest achievable gain.
* RecTools' HitRate and LensKit's Hit are 1 if our recall is above 0.
* LensKit's NDCG gives the first two ranks the same discount unless its ranks are shifted, which
  `lenskit_metrics` does.
* LensKit's Recall divides by at most k; its Precision divides by the length of shorter lists.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer

from benchmarks.peers.environments import environment
from benchmarks.peers.evaluate_lists import REQUEST, align_lists, ids_as_text
from benchmarks.peers.make_requests import make_requests
from flows.shell import CHECKOUT
from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.metrics import Values
from recloop.evaluation.report import metrics_per_request, to_rows
from recloop.settings import read_settings

KS = (5, 10, 20)
TOLERANCE = 1e-6


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    lists: Annotated[Path, typer.Argument(exists=True, help="Table of request and ranked.")],
    requests: Annotated[Path | None, typer.Option(help="Default: those of the test part.")] = None,
    envs: Annotated[Path | None, typer.Option(help="Folder of the environments.")] = None,
    library: Annotated[list[str] | None, typer.Option(help="rectools, lenskit")] = None,
) -> None:
    """Compare every metric and print whether it agrees."""
    requested = ids_as_text(
        pl.read_parquet(requests)
        if requests
        else make_requests(folder, "test", "next-item", repeats=False)
    ).with_columns(pl.col(REQUEST).cast(pl.Int64()))
    items = pl.read_parquet(folder / "items.parquet", columns=[c.ITEM])
    catalogue = Catalogue(items.with_columns(pl.col(c.ITEM).cast(pl.String())))
    ranked = _in_catalogue(align_lists(pl.read_parquet(lists), requested), catalogue)
    relevant = _in_catalogue(requested.select(c.RELEVANT), catalogue)[c.RELEVANT]
    requested = requested.with_columns(relevant)
    ours = expected(ranked, requested, catalogue)
    home = envs or read_settings().home.root / "peers" / "envs"
    differing: list[str] = []
    for name in library or ["rectools", "lenskit"]:
        theirs = _theirs(name, environment(name, home), ranked, requested)
        for metric in theirs.drop(REQUEST).columns:
            values = theirs[metric].to_numpy()
            difference = float(np.abs(values - ours[metric]).max())
            agrees = difference <= TOLERANCE
            differing += [] if agrees else [f"{name} {metric}"]
            verdict = "agrees" if agrees else "DIFFERS"
            print(f"{name:9} {metric:32} {values.mean():.6f} {difference:.1e} {verdict}")
    print(f"{requested.height} requests; differing: {', '.join(differing) or 'none'}")
    raise typer.Exit(1 if differing else 0)


def expected(
    ranked: pl.DataFrame, requested: pl.DataFrame, catalogue: Catalogue
) -> dict[str, Values]:
    """Return our value per request of each metric, and the values by other definitions."""
    requests = Requests.from_frame(requested, catalogue)
    ours = metrics_per_request(to_rows(ranked, catalogue), requests, list(KS))
    counts = requests.relevant_counts()
    lengths = ranked[c.RANKED].list.len().to_numpy()
    for k in KS:
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
        achievable = np.minimum(counts, k)
        found = ours[f"precision@{k}"] * k
        ours[f"ndcg (default)@{k}"] = ours[f"ndcg@{k}"] * ideal[achievable] / ideal[k]
        ours[f"hit rate@{k}"] = (found > 0).astype(float)
        ours[f"recall (at most k)@{k}"] = found / np.maximum(achievable, 1)
        ours[f"precision (of those ranked)@{k}"] = found / np.clip(lengths, 1, k)
    return ours


def _in_catalogue(table: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Return the table without the ids that are not in the catalogue; recloop ignores them."""
    ids = pl.element().filter(pl.element().is_in(catalogue.ids))
    return table.with_columns(pl.all().list.eval(ids))


def _theirs(name: str, python: Path, ranked: pl.DataFrame, requested: pl.DataFrame) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        lists, requests, out = (Path(folder, f"{part}.parquet") for part in ("a", "b", "c"))
        ranked.with_columns(requested[REQUEST]).write_parquet(lists)
        requested.select(REQUEST, c.RELEVANT).write_parquet(requests)
        command: list[str | Path] = [
            python,
            "-m",
            f"benchmarks.peers.{name}_metrics",
            lists,
            requests,
            out,
        ]
        subprocess.run(command, cwd=CHECKOUT, check=True, stdout=sys.stderr)
        return pl.read_parquet(out)


if __name__ == "__main__":
    typer.run(main)
