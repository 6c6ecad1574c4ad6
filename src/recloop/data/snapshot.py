"""A snapshot: everything known at one moment, in the contract's form.

Joins what the source holds with what the service was told since. Frames in, frames out.
"""

from dataclasses import dataclass

import polars as pl

from recloop import columns as c
from recloop.config import Settings
from recloop.data.contract import Conformed, conform_interactions, conform_items
from recloop.data.sources import RawData, SourceConfig


class SnapshotConfig(Settings):
    """The source, and which share of its interactions, by time, counts as already known.

    The rest (`1 - history`) is the later stretch that `make run` replays as live traffic.
    """

    source: SourceConfig = SourceConfig()
    history: float = 1.0


@dataclass(frozen=True)
class Snapshot:
    """Interactions and items that fit the contract, feedback as it came, and what did not fit."""

    interactions: pl.DataFrame
    items: pl.DataFrame
    feedback: pl.DataFrame
    quarantine: pl.DataFrame
    quarantined_share: float


def take_snapshot(raw: RawData, feedback: pl.DataFrame, config: SnapshotConfig) -> Snapshot:
    """Conform the source, keep its known share, and add the feedback.

    `feedback` holds the event store's rows (see `EventStore.events`); impressions are no interactions.
    """
    interactions = conform_interactions(raw.interactions, config.source.default_event)
    items = conform_items(raw.items)
    known, _later = divide(interactions.rows, config.history)
    acted = feedback.filter(pl.col(c.EVENT) != c.Event.IMPRESSION).select(c.INTERACTIONS.names())
    joined = pl.concat([known, acted]).sort(c.TIME, maintain_order=True)
    return Snapshot(
        joined,
        items.rows,
        feedback,
        _label(interactions, "interactions").vstack(_label(items, "items")),
        max(interactions.quarantined_share, items.quarantined_share),
    )


def divide(interactions: pl.DataFrame, history: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interactions before and from the moment at which the share `history` was known."""
    boundary = round(interactions.height * history)
    if boundary >= interactions.height:
        return interactions, interactions.clear()
    moment = interactions[c.TIME][boundary]
    return interactions.filter(pl.col(c.TIME) < moment), interactions.filter(
        pl.col(c.TIME) >= moment
    )


def _label(conformed: Conformed, table: str) -> pl.DataFrame:
    return conformed.quarantine.select(pl.lit(table).alias("table"), c.ROW, c.REASON, "raw")
