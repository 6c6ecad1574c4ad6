"""Folds of the training rows, in which rows relate to their past as test rows relate to training.

There are three kinds of split. Test rows come after all training rows (`time`), after the training
rows of their own user (`user`), or anywhere (`random`, also if the order is unknown). In the first
two, the past of a fold is strictly earlier. In the last it is the other folds, which are made of
whole users (or items) if the users (or items) of the test are new.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from recloop.ctr.log import Doubles, Ints, Log

Kind = Literal["time", "user", "random"]

# Share of rows in order from which a split counts as ordered.
_MOST = 0.9
# Share of the training rows that are the past of the first fold.
_BURN_IN = 0.3
_HALF = 0.5


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold: features of `rows` are computed from `past`."""

    past: Ints
    rows: Ints


def kind_of(train: Log, test: Log) -> Kind:
    """Return how the test rows relate in time to the training rows."""
    if np.isnan(train.order).any() or np.isnan(test.order).any():
        return "random"
    if np.mean(test.order >= np.quantile(train.order, 0.98)) > _MOST:
        return "time"
    newest = pl.DataFrame({"user": train.users, "order": train.order}).group_by("user").max()
    rows = pl.DataFrame({"user": test.users, "at": test.order}).join(newest, on="user")
    later = rows.select((pl.col("at") >= pl.col("order")).mean()).item()
    warm = rows.height / max(len(test), 1)
    return "user" if warm > 1 - _MOST and later > _MOST else "random"


def folds(train: Log, test: Log, count: int, seed: int) -> list[Fold]:
    """Return folds of the training rows that resemble the split into training and test rows.

    Args:
        train: Training rows.
        test: Test rows; their labels are not read.
        count: Number of folds; fewer are returned if many rows have the same order.
        seed: Seed of random folds.
    """
    kind = kind_of(train, test)
    ordered = [] if kind == "random" else _ordered(train, kind, count)
    if ordered:
        return ordered
    rng = np.random.default_rng(seed)
    for key in (_new_key(train, test), np.arange(len(train))):
        fold = rng.permutation(int(key.max()) + 1)[key] % count
        parts = [np.flatnonzero(fold == number) for number in np.unique(fold)]
        if len(parts) > 1:
            break
    return [Fold(np.setdiff1d(np.arange(len(train)), part), part) for part in parts]


def _ordered(train: Log, kind: Kind, count: int) -> list[Fold]:
    position = train.order if kind == "time" else _share_of_user(train)
    edges = np.unique(np.quantile(position, np.linspace(_BURN_IN, 1, count + 1)[:-1]))
    block = np.searchsorted(edges, position, side="right")
    found = [
        Fold(np.flatnonzero(block < number), np.flatnonzero(block == number))
        for number in range(1, len(edges) + 1)
    ]
    return [fold for fold in found if len(fold.past) and len(fold.rows)]


def _new_key(train: Log, test: Log) -> Ints:
    """Return the users or items if those of the test are new, else row numbers, `(rows,)`.

    Rows with the same value stay together.
    """
    for train_values, test_values in ((train.users, test.users), (train.items, test.items)):
        if np.mean(np.isin(test_values, train_values)) < _HALF:
            return train_values
    return np.arange(len(train))


def _share_of_user(log: Log) -> Doubles:
    """Return each row's position among its user's rows, in [0, 1), `(rows,)`.

    Rows with the same order have the first one's position.
    """
    frame = pl.DataFrame({"user": log.users, "order": log.order})
    rank = pl.col("order").rank("min").over("user") - 1
    return frame.select(rank / pl.len().over("user")).to_series().to_numpy()
