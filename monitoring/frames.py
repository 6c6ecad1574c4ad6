"""Frames for measuring drift and clicks. Their rows contain no user or item ids."""

import polars as pl

from recloop import columns as c
from recloop.evaluation.report import K

CATEGORICAL_COLUMNS = ("event", "category")
NUMERICAL_COLUMNS = ("value", "popularity", "activity")


def interaction_features(
    interactions: pl.DataFrame, items: pl.DataFrame, popularity: pl.DataFrame
) -> pl.DataFrame:
    """Describe each interaction by columns that do not depend on the length of the period.

    Args:
        interactions: Columns of the interaction contract.
        items: Items with their categories.
        popularity: Columns `item_id` and `count`; an item that is not in it counts 0.

    Returns:
        `event`, first `category`, `value`, `popularity` (log1p of the count) and `activity` (log1p
        of the user's events on that day), one row for each interaction, ordered by time.
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


def mean_top_scores(lists: pl.DataFrame) -> pl.DataFrame:
    """Return the mean of the first K scores of each list, in column `score`; skip shorter lists."""
    full = lists.filter(pl.col(c.SCORES).list.len() >= K)
    return full.select(pl.col(c.SCORES).list.head(K).list.mean().cast(pl.Float64).alias("score"))


def click_counts(served: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Count the lists that each model version served, and how many of them were clicked.

    A list counts as clicked if a positive event names its request id and one of its items.

    Args:
        served: Served lists, with columns `request_id`, `items` and `model_version`.
        events: Events, with columns `request_id`, `item_id` and `event`.

    Returns:
        `model_version`, `lists` and `clicked`, one row for each version, ordered by version.
    """
    positive = events.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS))).select(
        c.REQUEST, c.ITEM
    )
    clicked_lists = (
        served.select(c.REQUEST, pl.col("items").alias(c.ITEM))
        .explode(c.ITEM)
        .join(positive.drop_nulls(), on=[c.REQUEST, c.ITEM], how="semi")
        .select(c.REQUEST)
        .unique()
        .with_columns(pl.lit(value=True).alias("clicked"))
    )
    marked = served.join(clicked_lists, on=c.REQUEST, how="left")
    return (
        marked.group_by("model_version")
        .agg(pl.len().alias("lists"), pl.col("clicked").fill_null(value=False).sum())
        .sort("model_version")
    )
