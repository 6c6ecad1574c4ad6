"""What is packaged of each user."""

import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.split import EVENTS, HISTORY, TIMES
from recloop.data.trail import EVENT_NUMBERS

SEEN, HIDDEN = "seen", "hidden"


def user_table(interactions: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Each user's history, with times (seconds) and events (numbers), seen and hidden items, as of the end.

    Items are rows of the catalogue; others are left out. As in `UserState.after`, a later dislike
    leaves an item in the history.
    """
    places = pl.DataFrame(
        {c.ITEM: catalogue.ids, c.ROW: range(len(catalogue))}, schema_overrides={c.ROW: pl.Int32()}
    )
    ordered = interactions.sort(c.TIME, maintain_order=True).join(
        places, on=c.ITEM, how="left", maintain_order="left"
    )
    inside = ordered.filter(pl.col(c.ROW).is_not_null())
    liked = inside.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    met = inside.unique([c.USER, c.ITEM], keep="last", maintain_order=True)
    histories = liked.group_by(c.USER).agg(
        pl.col(c.ROW).alias(HISTORY),
        (pl.col(c.TIME).dt.epoch("us") / 1e6).alias(TIMES),
        pl.col(c.EVENT)
        .replace_strict(EVENT_NUMBERS, default=0, return_dtype=pl.Int8)
        .alias(EVENTS),
    )
    seen = met.group_by(c.USER).agg(pl.col(c.ROW).alias(SEEN))
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
