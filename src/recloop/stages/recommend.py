"""Stage that writes the lists of a packaged model for the test requests."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from recloop.evaluation.report import RECLOOP
from recloop.evaluation.request_ranking import rank_requests
from recloop.registry.payload import Payload
from recloop.stages import files


def main(
    model: Annotated[Path, typer.Option(help="Folder of a packaged model.")] = files.MODEL,
    out: Annotated[Path, typer.Option(help="Where the lists go.")] = files.PREDICTIONS,
) -> None:
    """Rank the test requests with a packaged model, through the code that also serves HTTP.

    Reads artifacts/model and data/split; writes artifacts/predictions/recloop.parquet.
    """
    lists = rank_requests(Payload.load(model).recommender(), pl.read_parquet(files.TEST_REQUESTS))
    lists.write_parquet(files.empty_folder(out) / f"{RECLOOP}.parquet")


if __name__ == "__main__":
    typer.run(main)
