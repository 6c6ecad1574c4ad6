"""Table of the users' histories that is packaged with a model."""

import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.user_sequences import EVENT_CODES

SEEN, HIDDEN = "seen", "hidden"


def user_table(interactions: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Return the history, seen items and hidden items of each user after the last interaction.

    As in `UserHistory.updated_with`, an item stays in the history after a later dislike.

    Args:
        interactions: Interactions with the columns user_id, item_id, timestamp and event, in any
            order.
        catalogue: Catalogue; interactions with other items are left out.

    Returns:
        One row for each user, with the columns user_id and lists of row numbers of the catalogue
        (history, seen, hidden), of times in seconds since 1970, and of `EVENT_CODES`.
    """
    item_rows = pl.DataFrame(
        {c.ITEM: catalogue.ids, c.ROW: range(len(catalogue))}, schema_overrides={c.ROW: pl.Int32()}
    )
    ordered = interactions.sort(c.TIME, maintain_order=True).join(
        item_rows, on=c.ITEM, how="left", maintain_order="left"
    )
    inside = ordered.filter(pl.col(c.ROW).is_not_null())
    liked = inside.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    last = inside.unique([c.USER, c.ITEM], keep="last", maintain_order=True)
    histories = liked.group_by(c.USER).agg(
        pl.col(c.ROW).alias(HISTORY),
        (pl.col(c.TIME).dt.epoch("us") / 1e6).alias(TIMES),
        pl.col(c.EVENT).replace_strict(EVENT_CODES, default=0, return_dtype=pl.Int8).alias(EVENTS),
    )
    seen = last.group_by(c.USER).agg(pl.col(c.ROW).alias(SEEN))
    hidden = (
        inside.filter(pl.col(c.EVENT) == c.Event.HIDE)
        .unique([c.USER, c.ITEM], keep="last", maintain_order=True)
        .group_by(c.USER)
        .agg(pl.col(c.ROW).alias(HIDDEN))
    )
    users = ordered.select(c.USER).unique(maintain_order=True)
    for table in (histories, seen, hidden):
        users = users.join(table, on=c.USER, how="left", maintain_order="left")
    lists = (HISTORY, TIMES, EVENTS, SEEN, HIDDEN)
    return users.select(c.USER, *(pl.col(name).fill_null([]) for name in lists))


def no_users() -> pl.DataFrame:
    """Return the table of a model that is packaged without users: the columns of `user_table`."""
    times, rows = pl.List(pl.Float64), pl.List(pl.Int32)
    kinds = {HISTORY: rows, TIMES: times, EVENTS: pl.List(pl.Int8), SEEN: rows, HIDDEN: rows}
    return pl.DataFrame(schema={c.USER: pl.String, **kinds})
