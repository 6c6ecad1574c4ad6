"""Training data of users who step through a circle of items."""

import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.frame_schemas import ITEMS as ITEM_COLUMNS
from recloop.data.interaction_log import (
    PART,
    TEST_PART,
    TRAIN_PART,
    VALID_PART,
    InteractionLog,
)
from recloop.training.training_data import TrainingData

ITEMS, USERS = 12, 30
_PARTS = [TRAIN_PART] * 6 + [VALID_PART, TEST_PART]


def training_data(*, ordered: bool = True, test_step: int = 1) -> TrainingData:
    """Return data in which user n begins at item n and has the following six items.

    Items 6 and 7 steps after the first are for validation and for the test.

    Args:
        ordered: Whether the interactions have times.
        test_step: Number of steps on the circle from the validation item to the test item.
    """
    rows = [
        {
            c.USER: f"u{user}",
            c.ITEM: str((user + (step if part != TEST_PART else step - 1 + test_step)) % ITEMS),
            c.TIME: 1_000_000 + 60 * step + user if ordered else None,
            PART: part,
        }
        for user in range(USERS)
        for step, part in enumerate(_PARTS)
    ]
    time = pl.from_epoch(c.TIME, "s").dt.replace_time_zone("UTC").dt.cast_time_unit("us")
    frame = pl.DataFrame(rows, schema_overrides={c.TIME: pl.Int64}).with_columns(time)
    catalogue = Catalogue(_items())
    log = InteractionLog.from_frame(frame, catalogue.items[c.ITEM], repeats=False)
    return TrainingData.split(catalogue, log, group_by_time=False, repeats=False)


def _items() -> pl.DataFrame:
    given = {
        c.ITEM: [str(item) for item in range(ITEMS)],
        c.TITLE: [f"Film {item}" for item in range(ITEMS)],
        c.CATEGORIES: [[]] * ITEMS,
        c.AVAILABLE: [True] * ITEMS,
    }
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in ITEM_COLUMNS.items() if name not in given
    ]
    return pl.DataFrame(given).with_columns(missing).cast(ITEM_COLUMNS).select(*ITEM_COLUMNS)
