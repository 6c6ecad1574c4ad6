"""Reading and checking the folder of a data set: ids become row numbers, times become seconds.

`interactions.parquet` has the columns user_id and item_id (integers or strings) and split (train,
valid or test); optional are timestamp, pos (order within a user), label and weight.
`items.parquet` has item_id; optional are title and text.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.frame_schemas import ITEMS
from recloop.data.interaction_log import PART, POSITION, WEIGHT, InteractionLog
from recloop.data.split import allows_repeats

SPLIT, LABEL = "split", "label"
TRAIN, VALID, TEST = "train", "valid", "test"
INTERACTIONS_FILE, ITEMS_FILE = "interactions.parquet", "items.parquet"

# Columns of row numbers, and the numbers of the parts.
USER, ITEM = "user", "item"
_PARTS = {TRAIN: 0, VALID: 1, TEST: 2}

_MISSING_COLUMNS = (c.ATTRIBUTES, c.PUBLISHED, c.EXPIRES)

# Smallest plausible timestamp in nano-, micro- and milliseconds, and units per second.
_TIME_UNITS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3))


class FolderError(ValueError):
    """Error: a folder cannot be evaluated; the message names the file and the problem."""


@dataclass(frozen=True)
class DataSet:
    """Interactions and items of a folder, with row numbers for users and items.

    Attributes:
        name: Name of the folder.
        interactions: Rows sorted by part, time and position; columns user and item (row numbers,
            int32), part (int8), timestamp (epoch seconds, int64 or null), pos and label (float64 or
            null), weight (float64).
        items: Columns item (row number), item_id, title, text.
        users: User ids, in the order of the row numbers.
        ordered: Whether the interactions have a time or a position.
    """

    name: str
    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.Series
    ordered: bool

    def catalogue(self) -> Catalogue:
        """Return the items in the contract's form, in the order of their row numbers."""
        title, text = (pl.col(name).str.strip_chars() for name in (c.TITLE, c.TEXT))
        non_empty_text = pl.when(text != "").then(text)
        items = self.items.select(
            pl.col(c.ITEM).cast(pl.String),
            pl.when(title == "").then(text).otherwise(title).alias(c.TITLE),
            pl.when(title != "").then(non_empty_text).alias(c.TEXT),
            pl.lit([], ITEMS[c.CATEGORIES]).alias(c.CATEGORIES),
            *(pl.lit(None, ITEMS[name]).alias(name) for name in _MISSING_COLUMNS),
            pl.lit(value=True).alias(c.AVAILABLE),
        )
        return Catalogue(items.cast(ITEMS))

    def allows_repeats(self, *, setting: bool | None) -> bool:
        """Return whether seen items may be recommended: as given, or derived from the data."""
        rows = self._positive().rename({USER: c.USER, ITEM: c.ITEM})
        train, valid = (rows.filter(pl.col(PART) == part) for part in (0, 1))
        return allows_repeats(train, valid, setting=setting)

    def log(self, *, repeats: bool) -> InteractionLog:
        """Return the positive interactions as arrays; users and items are their row numbers."""
        time = pl.from_epoch(c.TIME, "s").dt.replace_time_zone("UTC").dt.cast_time_unit("us")
        rows = self._positive().select(
            pl.col(USER).alias(c.USER), pl.col(ITEM).alias(c.ITEM), PART, time, POSITION, WEIGHT
        )
        items = pl.int_range(self.items.height, dtype=pl.Int32, eager=True)
        return InteractionLog.from_frame(rows, items, repeats=repeats)

    def texts(self) -> list[str]:
        """Return title and text of every item, joined; an empty string if it has neither."""
        return self.catalogue().texts()

    def without_texts(self) -> "DataSet":
        """Return the data set with empty titles and texts."""
        empty = pl.lit("").alias(c.TITLE), pl.lit("").alias(c.TEXT)
        return replace(self, items=self.items.with_columns(empty))

    def _positive(self) -> pl.DataFrame:
        """Return the rows without a label, or with one above 0."""
        return self.interactions.filter(pl.col(LABEL).is_null() | (pl.col(LABEL) > 0))


def read_folder(folder: Path) -> DataSet:
    """Read and check a folder.

    Raises:
        FolderError: A file or column is missing, unreadable or has invalid values.
    """
    interactions = _read(folder / INTERACTIONS_FILE, (c.USER, c.ITEM, SPLIT))
    items = _read(folder / ITEMS_FILE, (c.ITEM,))
    columns = (c.USER, c.ITEM, SPLIT, c.TIME, POSITION, LABEL, WEIGHT)
    interactions = interactions.select(
        pl.col(name) for name in columns if name in interactions.columns
    )
    _check(interactions, items)
    if interactions[c.ITEM].dtype != items[c.ITEM].dtype:
        interactions, items = (_ids_as_text(table) for table in (interactions, items))
    catalogue = _catalogue(items, interactions)
    users = interactions.select(c.USER).unique(maintain_order=True).with_row_index(USER)
    rows = _with_row_numbers(interactions, catalogue, users)
    order = [PART, c.TIME, POSITION]
    ordered = bool(rows.select(pl.any_horizontal(pl.col(*order[1:]).is_not_null().any())).item())
    return DataSet(
        name=folder.resolve().name,
        interactions=rows.sort(order, maintain_order=True),
        items=catalogue,
        users=users[c.USER],
        ordered=ordered,
    )


def _read(path: Path, required: tuple[str, ...]) -> pl.DataFrame:
    if not path.is_file():
        raise FolderError(f"{path} does not exist")
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise FolderError(f"{path} cannot be read as Parquet: {error}") from error
    if missing := [name for name in required if name not in table.columns]:
        raise FolderError(f"{path} has no column {', '.join(missing)}")
    if table.is_empty():
        raise FolderError(f"{path} is empty")
    return table.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def _check(interactions: pl.DataFrame, items: pl.DataFrame) -> None:
    for table, file, names in (
        (interactions, INTERACTIONS_FILE, (c.USER, c.ITEM)),
        (items, ITEMS_FILE, (c.ITEM,)),
    ):
        for name in names:
            dtype = table[name].dtype
            if not (dtype.is_integer() or dtype == pl.String):
                raise FolderError(f"{file}: {name} is {dtype}, not whole numbers or strings")
            if missing := table[name].null_count():
                raise FolderError(f"{file}: {missing} rows without {name}")
    _check_split(interactions)
    for name in (POSITION, LABEL, WEIGHT):
        if name in interactions.columns and not interactions[name].dtype.is_numeric():
            raise FolderError(
                f"{INTERACTIONS_FILE}: {name} is {interactions[name].dtype}, no number"
            )
    if WEIGHT in interactions.columns and (interactions[WEIGHT] < 0).any():
        raise FolderError(f"{INTERACTIONS_FILE}: a weight is negative")
    if repeated := items.height - items[c.ITEM].n_unique():
        raise FolderError(f"{ITEMS_FILE}: {repeated} item ids occur more than once")


def _check_split(interactions: pl.DataFrame) -> None:
    unknown = set(interactions[SPLIT].cast(pl.String).unique()) - _PARTS.keys()
    if unknown:
        found = ", ".join(sorted(map(str, unknown))[:5])
        raise FolderError(f"{INTERACTIONS_FILE}: split must be train, valid or test, found {found}")
    for name in _PARTS:
        if not (interactions[SPLIT].cast(pl.String) == name).any():
            raise FolderError(f"{INTERACTIONS_FILE}: no row has split {name}")


def _ids_as_text(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col(c.ITEM).cast(pl.String))


def _catalogue(items: pl.DataFrame, interactions: pl.DataFrame) -> pl.DataFrame:
    """Return the items with row numbers; those that only interactions name come last."""
    texts = [
        (pl.col(name).cast(pl.String) if name in items.columns else pl.lit("")).alias(name)
        for name in (c.TITLE, c.TEXT)
    ]
    listed = items.select(c.ITEM, *texts).with_columns(pl.col(c.TITLE, c.TEXT).fill_null(""))
    unlisted = interactions.select(c.ITEM).unique(maintain_order=True)
    unlisted = unlisted.join(listed, on=c.ITEM, how="anti", maintain_order="left")
    unlisted_items = unlisted.with_columns(pl.lit("").alias(c.TITLE), pl.lit("").alias(c.TEXT))
    return pl.concat([listed, unlisted_items]).with_row_index(ITEM)


def _with_row_numbers(
    interactions: pl.DataFrame, catalogue: pl.DataFrame, users: pl.DataFrame
) -> pl.DataFrame:
    joined = interactions.join(
        catalogue.select(c.ITEM, ITEM), on=c.ITEM, how="left", maintain_order="left"
    ).join(users, on=c.USER, how="left", maintain_order="left")

    def float_column(name: str, default: float | None) -> pl.Expr:
        if name not in joined.columns:
            return pl.lit(default, pl.Float64).alias(name)
        value = pl.col(name).cast(pl.Float64).fill_nan(None)
        return (value if default is None else value.fill_null(default)).alias(name)

    position = float_column(POSITION, None)
    return joined.select(
        pl.col(USER).cast(pl.Int32),
        pl.col(ITEM).cast(pl.Int32),
        pl.col(SPLIT).cast(pl.String).replace_strict(_PARTS, return_dtype=pl.Int8).alias(PART),
        _seconds(joined),
        pl.when(position >= 0).then(position).alias(POSITION),
        float_column(LABEL, None),
        float_column(WEIGHT, 1.0),
    )


def _seconds(table: pl.DataFrame) -> pl.Expr:
    """Return the timestamp in epoch seconds; null if it is missing or negative."""
    if c.TIME not in table.columns:
        return pl.lit(None, pl.Int64).alias(c.TIME)
    column = table[c.TIME]
    if column.dtype.is_temporal():
        return pl.col(c.TIME).cast(pl.Datetime("us")).dt.epoch("s").alias(c.TIME)
    if not column.dtype.is_numeric():
        raise FolderError(
            f"{INTERACTIONS_FILE}: timestamp is {column.dtype}, no time and no number"
        )
    largest = np.nan_to_num(column.cast(pl.Float64).fill_null(0.0).to_numpy()).max()
    unit = next((unit for smallest, unit in _TIME_UNITS if largest >= smallest), 1)
    time = pl.col(c.TIME).cast(pl.Float64).fill_nan(None)
    return pl.when(time >= 0).then(time / unit).cast(pl.Int64).alias(c.TIME)
