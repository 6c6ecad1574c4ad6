"""What drift is looked for in: a row an interaction, described without identities. Frames only."""

import polars as pl

from recloop import columns as c
from recloop.evaluation.report import K

CATEGORICAL = ("event", "category")
NUMERICAL = ("value", "popularity", "activity")


def describe(
    interactions: pl.DataFrame, items: pl.DataFrame, popularity: pl.DataFrame
) -> pl.DataFrame:
    """Event, first category, value, log popularity at training, log of the user's events that day.

    All of them mean the same in a window of any length.
    `popularity` maps item_id to a count; items new since training count zero.
    """
    that_day = pl.len().over(c.USER, pl.col(c.TIME).dt.date())
    joined = interactions.sort(c.TIME, maintain_order=True).join(
        items.select(c.ITEM, c.CATEGORIES), on=c.ITEM, how="left"
    )
    return joined.join(popularity, on=c.ITEM, how="left").select(
        pl.col(c.EVENT).alias("event"),
        pl.col(c.CATEGORIES).list.first().fill_null("unknown").alias("category"),
        pl.col(c.VALUE).fill_null(0.0).alias("value"),
        pl.col("count").fill_null(0.0).log1p().alias("popularity"),
        that_day.log1p().alias("activity"),
    )


def top_scores(lists: pl.DataFrame) -> pl.DataFrame:
    """Mean of the first K scores of each list; shorter lists, of other requests, are left out."""
    full = lists.filter(pl.col(c.SCORES).list.len() >= K)
    return full.select(pl.col(c.SCORES).list.head(K).list.mean().cast(pl.Float64).alias("score"))


def clicked(served: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Per model version: `lists` served, and how many were `clicked`.

    A list is clicked when an event carries its request id and one of its items.
    """
    acted = events.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS))).select(c.REQUEST, c.ITEM)
    touched = (
        served.select(c.REQUEST, pl.col("items").alias(c.ITEM))
        .explode(c.ITEM)
        .join(acted.drop_nulls(), on=[c.REQUEST, c.ITEM], how="semi")
        .select(c.REQUEST)
        .unique()
        .with_columns(pl.lit(value=True).alias("clicked"))
    )
    judged = served.join(touched, on=c.REQUEST, how="left")
    return (
        judged.group_by("model_version")
        .agg(pl.len().alias("lists"), pl.col("clicked").fill_null(value=False).sum())
        .sort("model_version")
    )
