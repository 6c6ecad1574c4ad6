"""Do others count as we do? RecTools' and LensKit's metric code on any table of lists, against ours.

`python benchmarks/peers/crosscheck.py DIR LISTS.parquet` compares request by request, at 5, 10 and 20,
and exits with 1 where a metric of the same definition differs by more than 1e-6. Definitions that
differ from ours are worked out from ours and compared as well:

* RecTools' NDCG divides by the gain of k relevant items unless `divide_by_achievable` is set; ours
  divides by what is achievable.
* RecTools' HitRate, LensKit's Hit: whether our recall is above 0.
* LensKit's NDCG discounts the first two ranks alike unless its ranks are shifted; they are.
* LensKit's Recall divides by at most k; its Precision by the length of the list when that is shorter.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer
from asked import make_requests
from run import environment
from score import REQUEST, aligned, as_asked

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.evaluation.evaluation_requests import Requests
from recloop.evaluation.metrics import Values
from recloop.evaluation.report import per_request, rows_of
from recloop.settings import read_settings

HERE = Path(__file__).resolve().parent
KS = (5, 10, 20)
TOLERANCE = 1e-6


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    lists: Annotated[Path, typer.Argument(exists=True, help="request, ranked")],
    requests: Annotated[Path | None, typer.Option(help="Default: the folder's test.")] = None,
    envs: Annotated[Path | None, typer.Option(help="Where the environments are made.")] = None,
    library: Annotated[list[str] | None, typer.Option(help="rectools, lenskit")] = None,
) -> None:
    """Compare and say."""
    asked = as_asked(
        pl.read_parquet(requests)
        if requests
        else make_requests(folder, "test", "next-item", repeats=False)
    ).with_columns(pl.col(REQUEST).cast(pl.Int64()))
    items = pl.read_parquet(folder / "items.parquet", columns=[c.ITEM])
    catalogue = Catalogue(items.with_columns(pl.col(c.ITEM).cast(pl.String())))
    ranked = _known(aligned(pl.read_parquet(lists), asked), catalogue)
    wanted = _known(asked.select(c.RELEVANT), catalogue)[c.RELEVANT]
    asked = asked.with_columns(wanted)
    ours = expected(ranked, asked, catalogue)
    home = envs or read_settings().home.root / "peers" / "envs"
    differing: list[str] = []
    for name in library or ["rectools", "lenskit"]:
        theirs = _theirs(name, environment(name, home), ranked, asked)
        for metric in theirs.drop(REQUEST).columns:
            difference = float(np.abs(theirs[metric].to_numpy() - ours[metric]).max())
            agrees = difference <= TOLERANCE
            differing += [] if agrees else [f"{name} {metric}"]
            verdict = "agrees" if agrees else "DIFFERS"
            print(f"{name:9} {metric:32} {theirs[metric].mean():.6f} {difference:.1e} {verdict}")
    print(f"{asked.height} requests; differing: {', '.join(differing) or 'none'}")
    raise typer.Exit(1 if differing else 0)


def expected(ranked: pl.DataFrame, asked: pl.DataFrame, catalogue: Catalogue) -> dict[str, Values]:
    """Our value per request of each metric, and what follows from it under others' definitions."""
    requests = Requests.encode(asked, catalogue)
    ours = per_request(rows_of(ranked, catalogue), requests, list(KS))
    counts = requests.counts()
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


def _known(table: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Without the ids that the catalogue does not know: for us they do not exist."""
    known = pl.element().filter(pl.element().is_in(catalogue.ids))
    return table.with_columns(pl.all().list.eval(known))


def _theirs(name: str, python: Path, ranked: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        lists, requests, out = (Path(folder, f"{part}.parquet") for part in ("a", "b", "c"))
        ranked.with_columns(asked[REQUEST]).write_parquet(lists)
        asked.select(REQUEST, c.RELEVANT).write_parquet(requests)
        script = HERE / f"{name}_metrics.py"
        subprocess.run([python, script, lists, requests, out], check=True, stdout=sys.stderr)
        return pl.read_parquet(out)


if __name__ == "__main__":
    typer.run(main)
