"""A snapshot: everything known at one moment, in the contract's form.

Joins what the source holds with what the service was told since. Frames in, frames out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from recloop import columns as c
from recloop.config import Settings
from recloop.data.contract import conform_interactions, conform_items, whose
from recloop.data.erased import ERASED, keeps_by_number, keeps_by_time
from recloop.data.live import LiveItem, merge
from recloop.data.pseudonyms import Pseudonyms
from recloop.data.sources import RawData, SourceConfig


class SnapshotConfig(Settings):
    """The source, and which share of its interactions, by time, counts as already known.

    The rest (`1 - history`) is the later stretch that `make run` replays as live traffic.
    `value_min` and `value_max` bound the values of ratings.
    """

    source: SourceConfig = SourceConfig()
    history: float = 1.0
    value_min: float = 0.0
    value_max: float = 5.0


@dataclass(frozen=True)
class Snapshot:
    """Interactions and items that fit the contract, feedback as it came, and what did not fit.

    `erased_source`, `erased_feedback`: how many rows were left out because their user was erased.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    feedback: pl.DataFrame
    quarantine: pl.DataFrame
    quarantined_share: float
    erased_source: int
    erased_feedback: int


def take_snapshot(
    raw: RawData,
    feedback: pl.DataFrame,
    config: SnapshotConfig,
    erased: pl.DataFrame | None = None,
    live: Sequence[LiveItem] = (),
) -> Snapshot:
    """Conform the source, keep its known share, and add the feedback and the `live` items.

    `feedback` holds the event store's rows (see `EventStore.events`). What clients sent by mistake is
    quarantined, so that it cannot shut the gate for ever. Impressions are no interactions.
    Of users in `erased` (see `recloop.data.erased`) only what came later is taken, also into quarantine.
    """
    forgotten = ERASED.to_frame() if erased is None else erased
    interactions = conform_interactions(raw.interactions, config.source.default_event)
    items = conform_items(raw.items)
    catalogue = merge(items.rows, live)
    dated, _later = divide(interactions.rows, config.history)
    known = dated.filter(keeps_by_time(dated, forgotten))
    bad = interactions.quarantine
    unfit_source = bad.filter(keeps_by_time(whose(raw.interactions)[bad[c.ROW]], forgotten))
    told = feedback.filter(keeps_by_number(feedback, forgotten))
    fit, unfit = _separate_feedback(told, catalogue, config)
    joined = pl.concat([known, fit.select(c.INTERACTIONS.names())])
    quarantine = [
        _label(unfit_source, "interactions"),
        _label(items.quarantine, "items"),
        _label(unfit, "feedback"),
    ]
    return Snapshot(
        joined.filter(pl.col(c.EVENT) != c.Event.IMPRESSION).sort(c.TIME, maintain_order=True),
        catalogue,
        fit,
        pl.concat(quarantine),
        max(interactions.quarantined_share, items.quarantined_share),
        erased_source=dated.height - known.height + bad.height - unfit_source.height,
        erased_feedback=feedback.height - told.height,
    )


def under_pseudonyms(raw: RawData, pseudonyms: Pseudonyms) -> RawData:
    """A source's users under their pseudonyms, of the ids as the contract reads them.

    Columns beyond the contract's may tell who somebody is, and quarantine quotes whole rows: they are
    left out. Without a key nothing changes.
    """
    rows = raw.interactions
    if pseudonyms.key is None or c.USER not in rows.columns:
        return raw
    users = whose(rows)[c.USER]
    names = {user: pseudonyms.of(user) for user in users.drop_nulls().unique()}
    known = users.replace_strict(names, default=None, return_dtype=pl.String)
    told = rows.select(name for name in rows.columns if name in c.INTERACTIONS)
    return replace(raw, interactions=told.with_columns(known))


def divide(interactions: pl.DataFrame, history: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interactions before and from the moment at which the share `history` was known."""
    boundary = round(interactions.height * history)
    if boundary >= interactions.height:
        return interactions, interactions.clear()
    moment = interactions[c.TIME][boundary]
    return interactions.filter(pl.col(c.TIME) < moment), interactions.filter(
        pl.col(c.TIME) >= moment
    )


def _separate_feedback(
    feedback: pl.DataFrame, items: pl.DataFrame, config: SnapshotConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    unknown = ~pl.col(c.ITEM).is_in(items[c.ITEM].implode())
    rated = pl.col(c.EVENT) == c.Event.RATING
    within = pl.col(c.VALUE).is_between(config.value_min, config.value_max)
    reason = (
        pl.when(unknown)
        .then(pl.lit("item is not in the catalogue"))
        .when(rated & ~within)
        .then(pl.lit("rating is out of bounds"))
    )
    judged = feedback.with_columns(reason.alias(c.REASON))
    fit = judged.filter(pl.col(c.REASON).is_null()).drop(c.REASON)
    unfit = judged.filter(pl.col(c.REASON).is_not_null()).select(
        pl.col("seq").cast(pl.UInt32).alias(c.ROW),
        c.REASON,
        pl.struct(feedback.columns).struct.json_encode().alias("raw"),
    )
    return fit, unfit


def _label(quarantine: pl.DataFrame, table: str) -> pl.DataFrame:
    return quarantine.select(pl.lit(table).alias("table"), c.ROW, c.REASON, "raw")
