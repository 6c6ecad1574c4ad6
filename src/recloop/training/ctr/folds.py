"""Which rows a row may learn from: folds of training rows that stand to their past as the test does.

Three kinds of split are told apart: all test rows come after training (`time`), after their own
user's training rows (`user`), or anywhere (`random`, as also where there is no order). In the first
two a fold's past is strictly earlier; in the last it is the other folds, by user (or item) where
the test's users (or items) are new.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from recloop.models.ctr.log import Doubles, Ints, Log

Kind = Literal["time", "user", "random"]

# Nearly all: a few rows out of order do not make a split random.
_MOST = 0.9
# What the first fold has for its past.
_BURN_IN = 0.3
_HALF = 0.5


@dataclass(frozen=True)
class Fold:
    """Row numbers: `rows` are described by what is known from `past`."""

    past: Ints
    rows: Ints


def kind_of(known: Log, test: Log) -> Kind:
    """How the test rows lie to the known ones."""
    if np.isnan(known.order).any() or np.isnan(test.order).any():
        return "random"
    if np.mean(test.order >= np.quantile(known.order, 0.98)) > _MOST:
        return "time"
    newest = pl.DataFrame({"user": known.users, "order": known.order}).group_by("user").max()
    asked = pl.DataFrame({"user": test.users, "at": test.order}).join(newest, on="user")
    later = asked.select((pl.col("at") >= pl.col("order")).mean()).item()
    warm = asked.height / max(len(test), 1)
    return "user" if warm > 1 - _MOST and later > _MOST else "random"


def folds(known: Log, test: Log, count: int, seed: int) -> list[Fold]:
    """`count` folds of `known` in the manner of the test; fewer where orders coincide."""
    kind = kind_of(known, test)
    ordered = [] if kind == "random" else _ordered(known, kind, count)
    if ordered:
        return ordered
    rng = np.random.default_rng(seed)
    for key in (_new_key(known, test), np.arange(len(known))):
        fold = rng.permutation(int(key.max()) + 1)[key] % count
        parts = [np.flatnonzero(fold == number) for number in np.unique(fold)]
        if len(parts) > 1:
            break
    return [Fold(np.setdiff1d(np.arange(len(known)), part), part) for part in parts]


def _ordered(known: Log, kind: Kind, count: int) -> list[Fold]:
    position = known.order if kind == "time" else _share_of_user(known)
    edges = np.unique(np.quantile(position, np.linspace(_BURN_IN, 1, count + 1)[:-1]))
    block = np.searchsorted(edges, position, side="right")
    found = [
        Fold(np.flatnonzero(block < number), np.flatnonzero(block == number))
        for number in range(1, len(edges) + 1)
    ]
    return [fold for fold in found if len(fold.past) and len(fold.rows)]


def _new_key(known: Log, test: Log) -> Ints:
    """What is new in the test decides what stays together in a fold: users, items, or single rows."""
    for own, asked in ((known.users, test.users), (known.items, test.items)):
        if np.mean(np.isin(asked, own)) < _HALF:
            return own
    return np.arange(len(known))


def _share_of_user(log: Log) -> Doubles:
    """Position among the user's rows, from 0 (first) to below 1; equal orders share the first's."""
    frame = pl.DataFrame({"user": log.users, "order": log.order})
    rank = pl.col("order").rank("min").over("user") - 1
    return frame.select(rank / pl.len().over("user")).to_series().to_numpy()
