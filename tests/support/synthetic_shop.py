"""A small made-up shop of films, in which there is something to learn.

Every user likes one of four genres and walks through its films in a fixed order, from a place of
their own, with now and then a film of another genre. All of it follows from the seed.
"""

from pathlib import Path

import numpy as np
import polars as pl

GENRES = ("Western", "Romance", "Horror", "Science")
FILMS_PER_GENRE = 25
USERS = 120
STEPS = 40
START = 1_700_000_000


def items() -> pl.DataFrame:
    """Return 100 films: item_id, title, text, categories."""
    rows = [
        {
            "item_id": f"{genre[0]}{number:02d}",
            "title": f"{genre} tale {number}",
            "text": f"A {genre.lower()} film",
            "categories": genre,
        }
        for genre in GENRES
        for number in range(FILMS_PER_GENRE)
    ]
    return pl.DataFrame(rows)


def interactions(seed: int = 7) -> pl.DataFrame:
    """Return 4,800 ratings: user_id, item_id, timestamp (epoch seconds), event, value."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        genre, place = user % len(GENRES), int(rng.integers(FILMS_PER_GENRE))
        when = START + int(rng.integers(40 * 86_400))
        for _ in range(STEPS):
            stray = rng.random() < 0.1
            home = int(rng.integers(len(GENRES))) if stray else genre
            place = (place + 1) % FILMS_PER_GENRE
            when += int(rng.integers(60, 86_400))
            item = f"{GENRES[home][0]}{place:02d}"
            rows.append((f"u{user}", item, when, "rating", 5 - int(stray)))
    table = pl.DataFrame(
        rows, schema=["user_id", "item_id", "timestamp", "event", "value"], orient="row"
    )
    return table.sort("timestamp", maintain_order=True)


def write(folder: Path) -> Path:
    """Write the shop as a folder of CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    items().write_csv(folder / "items.csv")
    interactions().write_csv(folder / "interactions.csv")
    return folder
