"""Answer the test requests with a packaged model, through the Recommender that also serves HTTP."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from recloop.data.catalogue import Rows
from recloop.evaluation.offline import Requests
from recloop.evaluation.report import DEPTH, OURS, predictions
from recloop.recommender.recommender import Recommender, Request
from recloop.recommender.state import UserState
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
    requests = Requests.encode(asked, recommender.catalogue)
    parts = [
        _answer(recommender, requests.histories[start : start + _BATCH])
        for start in range(0, asked.height, _BATCH)
    ]
    pl.concat(parts).write_parquet(files.fresh(out) / f"{OURS}.parquet")


def _answer(recommender: Recommender, histories: list[Rows]) -> pl.DataFrame:
    batch = [Request(UserState(history, history), k=DEPTH) for history in histories]
    ranked, scores = recommender.rank(batch)
    return predictions(ranked, scores, recommender.catalogue)


if __name__ == "__main__":
    typer.run(main)
