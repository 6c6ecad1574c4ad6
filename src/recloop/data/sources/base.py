"""Interface of a source, which returns two raw tables with the column names of the contract."""

from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl

from recloop.columns import Event
from recloop.config import ConfigModel


class SourceError(RuntimeError):
    """Raised when a source cannot be downloaded or read; the message says which and why."""


class SourceConfig(ConfigModel):
    """Settings of the source; for a folder, also how its columns map to the contract."""

    kind: Literal["movielens-100k", "csv", "parquet"] = "movielens-100k"
    """Kind of the source."""
    folder: str | None = None
    """Folder that holds the interactions and items, for `csv` and `parquet`."""
    interactions: dict[str, str] = {}
    """Names of the columns in your file by their names in the contract, such as
    `{user_id: customer, item_id: sku}`; other columns keep their names."""
    items: dict[str, str] = {}
    """The same for the columns of items."""
    default_event: Event = Event.CLICK
    """Event of every row, if the file has no column for it."""


@dataclass(frozen=True)
class RawData:
    """Interactions and items with the column names of the contract, in the types of the source."""

    interactions: pl.DataFrame
    items: pl.DataFrame


class Source(Protocol):
    """Source of interactions and items."""

    def read(self) -> RawData:
        """Read all data of the source.

        Raises:
            SourceError: The source cannot be downloaded or read.
        """
        ...
