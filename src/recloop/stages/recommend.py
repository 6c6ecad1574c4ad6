"""Answer the test requests with a packaged model, through the Recommender that also serves HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from recloop import columns as c
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.trail import seconds
from recloop.evaluation.report import DEPTH, OURS, predictions
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.state import Happened, UserState
from recloop.registry.payload import Payload
from recloop.stages import files

_BATCH = 256


def main(
    model: Annotated[Path, typer.Option(help="Folder of a packaged model.")] = files.MODEL,
    out: Annotated[Path, typer.Option(help="Where the lists go.")] = files.PREDICTIONS,
) -> None:
    """artifacts/model and data/split → artifacts/predictions/recloop.parquet."""
    recommender = Payload.load(model).recommender()
    asked = pl.read_parquet(files.TEST_REQUESTS)
    parts = [
        _answer(recommender, asked[start : start + _BATCH])
        for start in range(0, asked.height, _BATCH)
    ]
    pl.concat(parts).write_parquet(files.fresh(out) / f"{OURS}.parquet")


def _answer(recommender: Recommender, asked: pl.DataFrame) -> pl.DataFrame:
    nobody = UserState.empty()
    batch = [
        Request(nobody.after(happened, recommender.catalogue), k=DEPTH, since=at)
        for happened, at in _happened(asked)
    ]
    ranked, scores = recommender.rank(batch)
    return predictions(ranked, scores, recommender.catalogue)


def _happened(asked: pl.DataFrame) -> Iterator[tuple[list[Happened], float]]:
    """Of each request, what came before it, and when it is."""
    columns = (asked[name] for name in (HISTORY, EVENTS, TIMES))
    for items, events, times, at in zip(*columns, seconds(asked[c.TIME]), strict=True):
        yield list(zip(items, events, seconds(times), strict=True)), float(at)


if __name__ == "__main__":
    typer.run(main)
