"""What a source is: something that yields two raw tables with the contract's column names."""

from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl

from recloop.columns import Event
from recloop.config import Settings


class SourceError(RuntimeError):
    """A source cannot be fetched or read; the message says which and why."""


class SourceConfig(Settings):
    """Which source, and for a folder of the user's own how its columns map to the contract.

    `interactions` and `items` map contract names to the names in the files, for example
    `{user_id: customer, item_id: sku, timestamp: bought_at}`; unnamed columns keep their name.
    """

    kind: Literal["movielens-100k", "csv", "parquet"] = "movielens-100k"
    folder: str | None = None
    interactions: dict[str, str] = {}
    items: dict[str, str] = {}
    default_event: Event = Event.CLICK


@dataclass(frozen=True)
class RawData:
    """Two tables with contract column names, types as the source has them."""

    interactions: pl.DataFrame
    items: pl.DataFrame


class Source(Protocol):
    """Reads everything that the source holds. Raises SourceError."""

    def read(self) -> RawData: ...
