"""Which rows a row may learn from: folds of training rows that stand to their past as the test does.

Three kinds of split are told apart: all test rows come after training (`time`), after their own
user's training rows (`user`), or anywhere (`random`, as also where there is no order). In the first
two a fold's past is strictly earlier; in the last it is the other folds, by user (or item) where
the test's users (or items) are new.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from recloop.models.ctr.log import Doubles, Ints, Log, Mask

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


def folds(known: Log, test: Log, count: int, seed: int) -> Iterator[Fold]:
    """`count` folds of `known`, in the manner of the test."""
    kind = kind_of(known, test)
    if kind == "random":
        key = _random_key(known, test, seed)
        yield from (Fold(*_parted(key % count == fold)) for fold in range(count))
        return
    position = known.order if kind == "time" else _share_of_user(known)
    edges = np.unique(np.quantile(position, np.linspace(_BURN_IN, 1, count + 1)[:-1]))
    block = np.searchsorted(edges, position, side="right")
    for fold in range(1, len(edges) + 1):
        past, rows = np.flatnonzero(block < fold), np.flatnonzero(block == fold)
        if len(past) and len(rows):
            yield Fold(past, rows)


def _parted(chosen: Mask) -> tuple[Ints, Ints]:
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _random_key(known: Log, test: Log, seed: int) -> Ints:
    rng = np.random.default_rng(seed)
    for own, asked in ((known.users, test.users), (known.items, test.items)):
        if np.mean(np.isin(asked, own)) < _HALF:
            size = int(max(own.max(), asked.max())) + 1
            return rng.permutation(size)[own]
    return rng.permutation(len(known))


def _share_of_user(log: Log) -> Doubles:
    """Position among the user's rows, from 0 (first) to below 1; equal orders share the first's."""
    frame = pl.DataFrame({"user": log.users, "order": log.order})
    rank = pl.col("order").rank("min").over("user") - 1
    return frame.select(rank / pl.len().over("user")).to_series().to_numpy()
