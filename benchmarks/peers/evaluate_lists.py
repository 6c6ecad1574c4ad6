"""Evaluate the lists of peers with the metrics, bootstrap draws and catalogue of recloop."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.split import HISTORY
from recloop.evaluation.report import DEPTH, EvaluateConfig, measure_models

REQUEST = "request"


def ids_as_text(requests: pl.DataFrame) -> pl.DataFrame:
    """Return the requests with ids as text, as in recloop's tables."""
    ids = pl.List(pl.String())
    return requests.with_columns(
        pl.col(c.USER).cast(pl.String()), pl.col(HISTORY).cast(ids), pl.col(c.RELEVANT).cast(ids)
    )


def align_lists(lists: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Return one list per request, in the order of the requests.

    A request without a list gets an empty one; lists for other requests are left out.

    Returns:
        ranked: ids as text, each at most once, at most `DEPTH`.
    """
    ranked = pl.col(c.RANKED).cast(pl.List(pl.String()))
    given = lists.select(
        pl.col(REQUEST).cast(pl.Int64()), ranked.list.unique(maintain_order=True).list.head(DEPTH)
    )
    order = requests.select(pl.col(REQUEST).cast(pl.Int64()))
    empty = pl.col(c.RANKED).fill_null(pl.lit([], pl.List(pl.String())))
    return order.join(given, on=REQUEST, how="left", maintain_order="left", validate="1:1").select(
        empty
    )


def evaluate_lists(
    lists: Mapping[str, pl.DataFrame],
    requests: pl.DataFrame,
    items: pl.DataFrame,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Return the metrics of each model's lists; items outside the catalogue are not relevant.

    Returns:
        `{model: {metric: {value, low, high}, …, coverage@k: number}}`.
    """
    catalogue = Catalogue(items.with_columns(pl.col(c.ITEM).cast(pl.String())))
    predicted = {name: align_lists(own, requests) for name, own in lists.items()}
    return measure_models(predicted, ids_as_text(requests), catalogue, config)
