"""Write a public data set as a folder for `recloop evaluate`.

`python -m benchmarks.make_data_set ml-100k leave-one-out OUT` writes interactions.parquet and
items.parquet. MovieLens-100K is read from the source of the pipeline, the others from the
publishers' files in `--raw`.

Besides the splits of the pipeline there are two: `random` draws 80 / 10 / 10 of the rows of every
user and drops the times, and `new-items` is `temporal` with a fifth of the items, drawn at random,
only in the test.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
import typer

from recloop import columns as c
from recloop.data.sources.movielens import MovieLens100K
from recloop.data.split import Split, split_interactions
from recloop.settings import read_settings

BenchmarkSplit = Literal["temporal", "leave-one-out", "random", "new-items"]

# Shares of validation and test, and of the items that occur only in the test of `new-items`.
_VALID, _TEST, _NEW_ITEMS = 0.1, 0.1, 0.2
_SEED = 1

# Customer number of purchases without an account.
_GUEST = 0


def main(
    name: Annotated[str, typer.Argument(help="Name of the data set.")],
    protocol: Annotated[BenchmarkSplit, typer.Argument(help="How the data set is split.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    raw: Annotated[Path, typer.Option(help="Folder with the publishers' files.")] = Path(
        "data/raw"
    ),
) -> None:
    """Read a data set, split it 80 / 10 / 10 (or by each user's last two), and write it."""
    if name not in READERS:
        raise typer.BadParameter(f"unknown data set {name}; known: {', '.join(READERS)}")
    write(*READERS[name](raw), protocol, out)


def write(
    interactions: pl.DataFrame, items: pl.DataFrame, protocol: BenchmarkSplit, out: Path
) -> None:
    """Write interactions with user, item, time and split, and the items.

    Rows of equal times stay in the publisher's order.
    """
    parts = _split(interactions, items, protocol)
    labelled = [
        part.with_columns(pl.lit(split).alias("split"))
        for split, part in (("train", parts.train), ("valid", parts.valid), ("test", parts.test))
    ]
    out.mkdir(parents=True, exist_ok=True)
    pl.concat(labelled).write_parquet(out / "interactions.parquet")
    items.write_parquet(out / "items.parquet")


def _split(interactions: pl.DataFrame, items: pl.DataFrame, protocol: BenchmarkSplit) -> Split:
    """Return the parts of one split; the random choices are the same in every call."""
    rng = np.random.default_rng(_SEED)
    if protocol == "random":
        return _random_split(interactions, rng)
    if protocol == "new-items":
        parts = split_interactions(interactions, "temporal", _VALID, _TEST)
        new = items[c.ITEM].sample(fraction=_NEW_ITEMS, seed=_SEED).implode()
        known = ~pl.col(c.ITEM).is_in(new)
        return Split(parts.train.filter(known), parts.valid.filter(known), parts.test)
    return split_interactions(interactions, protocol, _VALID, _TEST)


def _random_split(interactions: pl.DataFrame, rng: np.random.Generator) -> Split:
    """Return a random tenth of every user's rows each for validation and test, without times."""
    shuffled = interactions.unique([c.USER, c.ITEM], maintain_order=True).drop(c.TIME)
    shuffled = shuffled[rng.permutation(shuffled.height)]
    rank = pl.int_range(pl.len()).over(c.USER) / pl.len().over(c.USER)
    ranked = shuffled.with_columns(rank.alias("rank"))
    within = {
        "train": pl.col("rank") >= _VALID + _TEST,
        "valid": (pl.col("rank") >= _TEST) & (pl.col("rank") < _VALID + _TEST),
        "test": pl.col("rank") < _TEST,
    }
    return Split(**{name: ranked.filter(rows).drop("rank") for name, rows in within.items()})


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


def ml_latest_small_tags(raw: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return MovieLens latest-small with genres and the users' tags as the texts of the films."""
    ratings, films = ml_latest_small(raw)
    tags = (
        pl.read_csv(raw / "ml-latest-small" / "tags.csv")
        .group_by(pl.col("movieId").alias(c.ITEM))
        .agg(pl.col("tag").cast(pl.String).str.to_lowercase().unique().sort().str.join(", "))
    )
    texts = pl.concat_str([c.TEXT, "tag"], separator=", ", ignore_nulls=True).alias(c.TEXT)
    tagged = films.join(tags, on=c.ITEM, how="left", maintain_order="left")
    return ratings, tagged.with_columns(texts).drop("tag")


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
    "ml-latest-small-tags": ml_latest_small_tags,
    "online-retail": online_retail,
}

if __name__ == "__main__":
    typer.run(main)
