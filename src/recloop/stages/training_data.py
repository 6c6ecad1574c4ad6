"""Reading of the training data from the files of the snapshot and the split."""

from collections.abc import Mapping

import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.interaction_log import TRAIN_PART, VALID_PART, InteractionLog
from recloop.data.split import part
from recloop.stages import files
from recloop.training.training_data import TrainingData


def read_training_data(event_weights: Mapping[c.Event, float] | None = None) -> TrainingData:
    """Return the catalogue, training and validation data.

    Args:
        event_weights: Weight of each event type in training; None means 1 for all.
    """
    catalogue = Catalogue(pl.read_parquet(files.ITEMS))
    split_info = files.read_json(files.SPLIT_INFO)
    repeats = split_info["repeats"]
    parts = ((files.TRAIN, TRAIN_PART), (files.VALID, VALID_PART))
    rows = pl.concat([pl.read_parquet(path).with_columns(part(number)) for path, number in parts])
    log = InteractionLog.from_frame(
        rows, catalogue.items[c.ITEM], repeats=repeats, event_weights=event_weights
    )
    return TrainingData.split(
        catalogue, log, group_by_time=split_info["group_by_time"], repeats=repeats
    )
