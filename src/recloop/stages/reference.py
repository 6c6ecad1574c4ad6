"""Stage that writes the reference sample with which monitoring compares live traffic."""

import polars as pl

from recloop import columns as c
from recloop.config import ConfigModel, read_block
from recloop.evaluation.report import RECLOOP, K
from recloop.stages import files


class ReferenceConfig(ConfigModel):
    """Settings of the reference sample to which the monitor compares."""

    interactions: int = 10_000
    """Newest interactions that are kept."""


def main() -> None:
    """Write the newest interactions and the scores of the test lists.

    Reads data/snapshot and artifacts/predictions; writes artifacts/reference.
    """
    config = read_block("reference", ReferenceConfig)
    interactions = pl.read_parquet(files.INTERACTIONS)
    lists = pl.read_parquet(files.PREDICTIONS / f"{RECLOOP}.parquet")
    files.empty_folder(files.REFERENCE)
    interactions.tail(config.interactions).select(
        c.USER, c.ITEM, c.TIME, c.EVENT, c.VALUE
    ).write_parquet(files.REFERENCE / "interactions.parquet")
    lists.select(pl.col(c.SCORES).list.head(K)).write_parquet(files.REFERENCE / "scores.parquet")


if __name__ == "__main__":
    main()
