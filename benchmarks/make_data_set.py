"""Write a public data set as a folder for `recloop evaluate`.

`python -m benchmarks.make_data_set ml-100k leave-one-out OUT` writes interactions.parquet and
items.parquet. MovieLens-100K is read from the source of the pipeline, the others from the
publishers' files in `--raw`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from recloop import columns as c
from recloop.data.sources.movielens import MovieLens100K
from recloop.data.split import Protocol, split_interactions
from recloop.settings import read_settings

# Customer number of purchases without an account.
_GUEST = 0


def main(
    name: Annotated[str, typer.Argument(help="ml-100k, ml-latest-small or online-retail")],
    protocol: Annotated[Protocol, typer.Argument(help="How the data set is split.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    raw: Annotated[Path, typer.Option(help="Folder with the publishers' files.")] = Path(
        "data/raw"
    ),
) -> None:
    """Read a data set, split it 80 / 10 / 10 by time (or by each user's last two), and write it."""
    write(*READERS[name](raw), protocol, out)


def write(interactions: pl.DataFrame, items: pl.DataFrame, protocol: Protocol, out: Path) -> None:
    """Write interactions with user, item, time and split, and the items.

    Rows of equal times stay in the publisher's order.
    """
    parts = split_interactions(interactions, protocol, 0.1, 0.1)
    labelled = [
        part.with_columns(pl.lit(split).alias("split"))
        for split, part in (("train", parts.train), ("valid", parts.valid), ("test", parts.test))
    ]
    out.mkdir(parents=True, exist_ok=True)
    pl.concat(labelled).write_parquet(out / "interactions.parquet")
    items.write_parquet(out / "items.parquet")


def ml_100k(_: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return ratings and films of MovieLens-100K; every rating is an interaction."""
    raw = MovieLens100K(str(read_settings().home.sources)).read()
    seconds = pl.col(c.TIME).cast(pl.Float64).cast(pl.Int64)
    ratings = raw.interactions.select(
        c.USER, c.ITEM, seconds.alias(c.TIME), pl.col(c.VALUE).cast(pl.Float64)
    )
    return ratings, raw.items.select(c.ITEM, c.TITLE, c.TEXT)


def ml_latest_small(raw: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return ratings and films of MovieLens latest-small; every rating is an interaction."""
    folder = raw / "ml-latest-small"
    ratings = pl.read_csv(folder / "ratings.csv").select(
        pl.col("userId").alias(c.USER),
        pl.col("movieId").alias(c.ITEM),
        pl.col("timestamp").alias(c.TIME),
        pl.col("rating").alias(c.VALUE),
    )
    films = pl.read_csv(folder / "movies.csv").select(
        pl.col("movieId").alias(c.ITEM),
        pl.col("title").alias(c.TITLE),
        pl.col("genres").str.replace_all("|", ", ", literal=True).alias(c.TEXT),
    )
    return ratings, films


def online_retail(raw: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return purchases and articles of UCI Online Retail.

    Purchases are the invoice lines of registered customers, without cancellations.
    """
    lines = pl.read_parquet(raw / "online_retail" / "online_retail.parquet").filter(
        (pl.col("CustomerID").cast(pl.Int64) != _GUEST)
        & (pl.col("Quantity") > 0)
        & (pl.col("UnitPrice") > 0)
    )
    bought = lines.select(
        pl.col("CustomerID").cast(pl.Int64).alias(c.USER),
        pl.col("StockCode").cast(pl.String).alias(c.ITEM),
        pl.col("InvoiceDate").str.to_datetime().dt.epoch("s").alias(c.TIME),
    ).unique(maintain_order=True)
    titles = lines.group_by(pl.col("StockCode").cast(pl.String).alias(c.ITEM)).agg(
        pl.col("Description").mode().sort().first().alias(c.TITLE)
    )
    return bought, titles.with_columns(pl.lit("").alias(c.TEXT)).sort(c.ITEM)


READERS: dict[str, Callable[[Path], tuple[pl.DataFrame, pl.DataFrame]]] = {
    "ml-100k": ml_100k,
    "ml-latest-small": ml_latest_small,
    "online-retail": online_retail,
}

if __name__ == "__main__":
    typer.run(main)
