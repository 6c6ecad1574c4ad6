"""Snapshot: interactions and items at one moment, in the form of the contract.

It joins the data of the source with the feedback and the items that the service received. Frames
in, frames out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import polars as pl
from pydantic import Field

from recloop import columns as c
from recloop.config import ConfigModel
from recloop.data.contract import conform_interactions, conform_items, users_and_times
from recloop.data.erased_users import ERASED, kept_by_sequence, kept_by_time
from recloop.data.frame_schemas import INTERACTIONS
from recloop.data.live_items import LiveItem, apply_live_items
from recloop.data.pseudonyms import Pseudonyms
from recloop.data.sources import RawData, SourceConfig


class SnapshotConfig(ConfigModel):
    """Settings of the snapshot: source, share of the history, and bounds of values."""

    source: SourceConfig = SourceConfig()
    """Source of the data."""
    history_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the interactions, by time, that counts as history. `make run` replays the rest as
    live traffic."""
    value_min: float = 0.0
    """Smallest value of a rating."""
    value_max: float = 5.0
    """Largest value of a rating."""


@dataclass(frozen=True)
class Snapshot:
    """Data of one moment, in the form of the contract.

    Attributes:
        interactions: Interactions of the source and of the feedback, by time; no impressions.
        items: Items of the source with the live items applied.
        feedback: Rows of the event store that fit the contract.
        quarantine: Rows that do not fit the contract: table, row number, reason and the row as
            JSON.
        quarantined_share: Share of the source's rows that were quarantined, of interactions or of
            items, whichever is larger; in [0, 1].
        erased_source_rows: Rows of the source left out because their user was erased.
        erased_feedback_rows: The same for rows of the feedback.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    feedback: pl.DataFrame
    quarantine: pl.DataFrame
    quarantined_share: float
    erased_source_rows: int
    erased_feedback_rows: int


def take_snapshot(
    raw: RawData,
    feedback: pl.DataFrame,
    config: SnapshotConfig,
    erased: pl.DataFrame | None = None,
    live: Sequence[LiveItem] = (),
) -> Snapshot:
    """Conform the source, keep its share of history, and add the feedback and the live items.

    Invalid feedback goes to quarantine, since a client's mistake must not make validation fail from
    then on. Impressions are not interactions.

    Args:
        raw: Tables of the source.
        feedback: Rows of the event store (see `EventStore.events`).
        config: Settings of the snapshot.
        erased: Erased users, in the schema `recloop.data.erased_users.ERASED`; only their rows
            after the erasure are taken.
        live: Items written through the API.

    Raises:
        ContractError: A table of the source lacks a required column.
    """
    erased = ERASED.to_frame() if erased is None else erased
    interactions = conform_interactions(raw.interactions, config.source.default_event)
    items = conform_items(raw.items)
    catalogue = apply_live_items(items.rows, live)
    history, _later = split_by_time_share(interactions.rows, config.history_share)
    kept = history.filter(kept_by_time(history, erased))
    bad = interactions.quarantine
    kept_bad = bad.filter(kept_by_time(users_and_times(raw.interactions)[bad[c.ROW]], erased))
    kept_feedback = feedback.filter(kept_by_sequence(feedback, erased))
    good_feedback, bad_feedback = _separate_feedback(kept_feedback, catalogue, config)
    joined = pl.concat([kept, good_feedback.select(INTERACTIONS.names())])
    quarantine = [
        _label(kept_bad, "interactions"),
        _label(items.quarantine, "items"),
        _label(bad_feedback, "feedback"),
    ]
    return Snapshot(
        joined.filter(pl.col(c.EVENT) != c.Event.IMPRESSION).sort(c.TIME, maintain_order=True),
        catalogue,
        good_feedback,
        pl.concat(quarantine),
        max(interactions.quarantined_share, items.quarantined_share),
        erased_source_rows=history.height - kept.height + bad.height - kept_bad.height,
        erased_feedback_rows=feedback.height - kept_feedback.height,
    )


def pseudonymise_source(raw: RawData, pseudonyms: Pseudonyms) -> RawData:
    """Replace the user ids of a source by their pseudonyms; without a key, change nothing.

    Columns that are not in the contract are dropped, since they may identify a user and quarantine
    quotes whole rows.
    """
    rows = raw.interactions
    if pseudonyms.key is None or c.USER not in rows.columns:
        return raw
    users = users_and_times(rows)[c.USER]
    names = {user: pseudonyms.pseudonymise(user) for user in users.drop_nulls().unique()}
    pseudonymised = users.replace_strict(names, default=None, return_dtype=pl.String)
    contract_columns = rows.select(name for name in rows.columns if name in INTERACTIONS)
    return replace(raw, interactions=contract_columns.with_columns(pseudonymised))


def split_by_time_share(
    interactions: pl.DataFrame, share: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split interactions at the time before which a share of them happened.

    Args:
        interactions: Interactions, sorted by their column timestamp.
        share: Share of the interactions, in [0, 1].

    Returns:
        The interactions before that time, and those from it on.
    """
    boundary = round(interactions.height * share)
    if boundary >= interactions.height:
        return interactions, interactions.clear()
    moment = interactions[c.TIME][boundary]
    return interactions.filter(pl.col(c.TIME) < moment), interactions.filter(
        pl.col(c.TIME) >= moment
    )


def _separate_feedback(
    feedback: pl.DataFrame, items: pl.DataFrame, config: SnapshotConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of the feedback that fit the contract, and those for the quarantine."""
    unknown = ~pl.col(c.ITEM).is_in(items[c.ITEM].implode())
    rated = pl.col(c.EVENT) == c.Event.RATING
    within = pl.col(c.VALUE).is_between(config.value_min, config.value_max)
    reason = (
        pl.when(unknown)
        .then(pl.lit("item is not in the catalogue"))
        .when(rated & ~within)
        .then(pl.lit("rating is out of bounds"))
    )
    checked = feedback.with_columns(reason.alias(c.REASON))
    good = checked.filter(pl.col(c.REASON).is_null()).drop(c.REASON)
    bad = checked.filter(pl.col(c.REASON).is_not_null()).select(
        pl.col("seq").cast(pl.UInt32).alias(c.ROW),
        c.REASON,
        pl.struct(feedback.columns).struct.json_encode().alias("raw"),
    )
    return good, bad


def _label(quarantine: pl.DataFrame, table: str) -> pl.DataFrame:
    return quarantine.select(pl.lit(table).alias("table"), c.ROW, c.REASON, "raw")
