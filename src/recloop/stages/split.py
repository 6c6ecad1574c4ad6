"""Split the snapshot by time, and write the requests that validation and test consist of."""

import polars as pl

from recloop import columns as c
from recloop.config import read_block
from recloop.data.split import SplitConfig, requests, split_interactions
from recloop.stages import files


def main() -> None:
    """data/snapshot → data/split."""
    config = read_block("split", SplitConfig)
    interactions = pl.read_parquet(files.INTERACTIONS)
    liked = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    parts = split_interactions(liked, config.protocol, config.valid, config.test)
    files.fresh(files.SPLIT)
    parts.train.write_parquet(files.TRAIN)
    parts.valid.write_parquet(files.VALID)
    parts.test.write_parquet(files.TEST)
    for path, past, future in (
        (files.VALID_REQUESTS, parts.train, parts.valid),
        (files.TEST_REQUESTS, files.past(), parts.test),
    ):
        requests(past, future, config.protocol, repeats=config.repeats).write_parquet(path)


if __name__ == "__main__":
    main()
