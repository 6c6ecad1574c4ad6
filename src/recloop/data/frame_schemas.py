"""Polars schemas of the two tables of the data contract."""

from typing import Final

import polars as pl

from recloop import columns as c

TIMESTAMP_TYPE: Final = pl.Datetime("us", "UTC")

INTERACTIONS: Final = pl.Schema(
    {
        c.USER: pl.String(),
        c.ITEM: pl.String(),
        c.TIME: TIMESTAMP_TYPE,
        c.EVENT: pl.String(),
        c.VALUE: pl.Float64(),
        c.QUERY: pl.String(),
        c.SESSION: pl.String(),
        c.REQUEST: pl.String(),
    }
)

ITEMS: Final = pl.Schema(
    {
        c.ITEM: pl.String(),
        c.TITLE: pl.String(),
        c.TEXT: pl.String(),
        c.CATEGORIES: pl.List(pl.String()),
        c.ATTRIBUTES: pl.String(),
        c.PUBLISHED: TIMESTAMP_TYPE,
        c.EXPIRES: TIMESTAMP_TYPE,
        c.AVAILABLE: pl.Boolean(),
    }
)
