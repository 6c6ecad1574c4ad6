"""Stage that splits the snapshot by time and writes the test requests."""

import polars as pl

from recloop import columns as c
from recloop.config import read_block
from recloop.data.catalogue import Catalogue
from recloop.data.interaction_log import TEST_PART, InteractionLog
from recloop.data.split import SplitConfig, allows_repeats, joined, split_interactions
from recloop.evaluation.evaluation_requests import Requests
from recloop.stages import files


def main() -> None:
    """Split the interactions and write the test requests.

    Reads data/snapshot; writes data/split.
    """
    config = read_block("split", SplitConfig)
    interactions = pl.read_parquet(files.INTERACTIONS)
    positive_events = interactions.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    parts = split_interactions(positive_events, config.protocol, config.valid, config.test)
    repeats = allows_repeats(parts.train, parts.valid, setting=config.repeats)
    group_by_time = config.protocol == "temporal"
    files.empty_folder(files.SPLIT)
    parts.train.write_parquet(files.TRAIN)
    parts.valid.write_parquet(files.VALID)
    parts.test.write_parquet(files.TEST)
    files.write_json(
        files.SPLIT_INFO,
        {"protocol": config.protocol, "group_by_time": group_by_time, "repeats": repeats},
    )
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    log = InteractionLog.from_frame(joined(parts), catalogue.items[c.ITEM], repeats=repeats)
    test = Requests.from_log(log, TEST_PART, group_by_time=group_by_time, repeats=repeats)
    test.to_frame(catalogue, log.users).write_parquet(files.TEST_REQUESTS)


if __name__ == "__main__":
    main()
