"""Leave-one-out requests of a folder. A stand-in: `recloop.trials` takes its place."""

from pathlib import Path
from typing import Literal

import polars as pl


def make_requests(folder: Path, part: Literal["valid", "test"]) -> pl.DataFrame:
    """request, user_id, history (oldest first), relevant: a row for each user's row of that part.

    The history is what the user did in the parts before: train, or train and valid.
    """
    rows = pl.read_parquet(folder / "interactions.parquet")
    order = next((name for name in ("pos", "timestamp") if name in rows.columns), None)
    rows = rows.sort(order, maintain_order=True) if order else rows
    before = ["train"] if part == "valid" else ["train", "valid"]
    item = pl.col("item_id")
    targets = rows.filter(pl.col("split") == part).group_by("user_id", maintain_order=True)
    histories = rows.filter(pl.col("split").is_in(before)).group_by("user_id")
    return (
        targets.agg(item.alias("relevant"))
        .join(histories.agg(item.alias("history")), on="user_id", maintain_order="left")
        .with_row_index("request")
        .select(pl.col("request").cast(pl.Int64), "user_id", "history", "relevant")
    )
