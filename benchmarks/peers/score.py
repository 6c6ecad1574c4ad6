"""Peers' lists judged by recloop's metrics: the same code, draws and catalogue for everybody."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.split import HISTORY
from recloop.evaluation.report import DEPTH, EvaluateConfig, table

REQUEST = "request"


def as_asked(requests: pl.DataFrame) -> pl.DataFrame:
    """Requests with ids as text, as recloop knows them."""
    ids = pl.List(pl.String())
    return requests.with_columns(
        pl.col(c.USER).cast(pl.String()), pl.col(HISTORY).cast(ids), pl.col(c.RELEVANT).cast(ids)
    )


def aligned(lists: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """One list per request, in their order: ids as text, no id twice, at most `DEPTH`.

    A request without an answer gets an empty list; answers to no request are left out.
    """
    ranked = pl.col(c.RANKED).cast(pl.List(pl.String()))
    answers = lists.select(
        pl.col(REQUEST).cast(pl.Int64()), ranked.list.unique(maintain_order=True).list.head(DEPTH)
    )
    asked = requests.select(pl.col(REQUEST).cast(pl.Int64()))
    empty = pl.col(c.RANKED).fill_null(pl.lit([], pl.List(pl.String())))
    return asked.join(
        answers, on=REQUEST, how="left", maintain_order="left", validate="1:1"
    ).select(empty)


def judge(
    lists: Mapping[str, pl.DataFrame],
    requests: pl.DataFrame,
    items: pl.DataFrame,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """`{model: {metric: {value, low, high}, …, coverage@k: number}}`; unknown ids count as nothing."""
    catalogue = Catalogue(items.with_columns(pl.col(c.ITEM).cast(pl.String())))
    predicted = {name: aligned(answers, requests) for name, answers in lists.items()}
    return table(predicted, as_asked(requests), catalogue, config)
