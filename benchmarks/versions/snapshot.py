"""Items, users and histories of a data snapshot as plain Python values in a fixed order.

The module reads the two Parquet files itself and imports nothing from recloop, so that the same
code prepares requests for services of different versions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Item:
    """One item of the catalogue."""

    item_id: str
    title: str
    text: str | None
    categories: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Items in the order of the file, users in the order of their first interaction.

    `histories` holds the item ids of each user, oldest first. `end` is the time of the newest
    interaction.
    """

    items: Sequence[Item]
    histories: Mapping[str, Sequence[str]]
    end: datetime

    @classmethod
    def read(cls, items: Path, interactions: Path) -> "Snapshot":
        """Read `items.parquet` and `interactions.parquet` of a snapshot."""
        rows = pl.read_parquet(items).iter_rows(named=True)
        events = pl.read_parquet(interactions).sort("timestamp", maintain_order=True)
        histories: dict[str, list[str]] = {}
        for user, item in events.select("user_id", "item_id").iter_rows():
            histories.setdefault(user, []).append(item)
        end = events["timestamp"][-1]
        if not isinstance(end, datetime):
            raise TypeError(f"{interactions}: timestamp must be a datetime, got {type(end)}.")
        return cls([_item(row) for row in rows], histories, end)

    @cached_property
    def users(self) -> list[str]:
        """Ids of all users."""
        return list(self.histories)

    @cached_property
    def item_ids(self) -> list[str]:
        """Ids of all items."""
        return [item.item_id for item in self.items]

    @cached_property
    def categories(self) -> list[str]:
        """Names of all categories, in alphabetical order."""
        return sorted({name for item in self.items for name in item.categories})

    @cached_property
    def numbers(self) -> dict[str, list[float]]:
        """Sorted values of each attribute that is a number for some item."""
        found: dict[str, list[float]] = {}
        for item in self.items:
            for name, value in item.attributes.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    found.setdefault(name, []).append(value)
        return {name: sorted(values) for name, values in sorted(found.items())}

    @cached_property
    def words(self) -> dict[str, list[str]]:
        """Sorted distinct values of each attribute that is a string for some item."""
        found: dict[str, set[str]] = {}
        for item in self.items:
            for name, value in item.attributes.items():
                if isinstance(value, str):
                    found.setdefault(name, set()).add(value)
        return {name: sorted(values) for name, values in sorted(found.items())}


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        item_id=row["item_id"],
        title=row["title"],
        text=row["text"],
        categories=tuple(row["categories"]),
        attributes=json.loads(row["attributes"] or "{}"),
    )
