"""What is known of a user and an item before a moment, as a matrix of features.

A `State` is fitted on past rows alone; `describe` then reads features of any pairs off it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from recloop.config import Settings
from recloop.models.ctr.bias import Bias, fit_bias, sigmoid
from recloop.models.ctr.factors import (
    exposure_vectors,
    fit_factors,
    grid,
    item_cosines,
    products,
    unit,
)
from recloop.models.ctr.log import Doubles, Floats, Ints, Log

Features = dict[str, Floats]
Similarity = Callable[[Ints, Ints], Floats]
_CHUNK = 20_000
_SMOOTH = 10.0


class FeatureConfig(Settings):
    """Sizes of what is fitted on the past."""

    history: int = 60
    bias_l2: float = 4.0
    rank: int = 16
    factor_l2: float = 6.0
    exposure_rank: int = 32
    shrink: float = 20.0
    max_cosine_items: int = 5_000


@dataclass(frozen=True)
class Histories:
    """`(rows, length)` each, newest first, items −1 where there is none.

    `residuals` are what intercept, user and item leave of the label; `surprises` what intercept and
    item leave.
    """

    items: Ints
    residuals: Floats
    surprises: Floats
    labels: Floats


class State:
    """Everything fitted on `past`; `text` is `(items, width)` unit vectors, or none."""

    def __init__(
        self, past: Log, shape: tuple[int, int], text: Floats | None, config: FeatureConfig
    ) -> None:
        self.past = past
        self.shape = shape
        self.config = config
        self.bias = fit_bias(past, *shape, config.bias_l2)
        residuals = _residuals(self.bias, past)
        self.user_factors, self.item_factors = fit_factors(
            past, residuals, shape, config.rank, config.factor_l2
        )
        self.similarities = self._similarities(past, residuals, text)
        self.text_quality = None if text is None else _text_quality(self.bias, past, text)
        self.statistics = _statistics(past, residuals, shape)

    def _similarities(
        self, past: Log, residuals: Floats, text: Floats | None
    ) -> dict[str, Similarity]:
        vectors = {
            "taste": unit(self.item_factors),
            "seen": exposure_vectors(past, self.shape, self.config.exposure_rank),
        }
        if text is not None:
            vectors["text"] = text
        found = {name: _dot(v) for name, v in vectors.items()}
        counts = np.bincount(past.items, minlength=self.shape[1])
        chosen = np.argsort(-counts, kind="stable")[: self.config.max_cosine_items]
        place = np.full(self.shape[1] + 1, len(chosen))
        place[chosen] = np.arange(len(chosen))
        values, ones = (
            grid(past, residuals, self.shape),
            grid(past, np.ones_like(residuals), self.shape),
        )
        cosines = item_cosines(values[:, chosen], ones[:, chosen], self.config.shrink)
        found["cosine"] = _lookup(np.pad(cosines, (0, 1)), place)
        return found


def describe(state: State, asked: Log, visible: Log | None = None) -> Features:
    """Named features, `(len(asked),)` float32 each; NaN where nothing is known.

    A user's history is what is `visible` of it: the state's past, or more rows, of which those count
    that have a strictly smaller order than the row described.
    """
    timeline = Timeline(state, visible)
    parts = [
        _describe(state, timeline, asked.take(np.arange(start, min(start + _CHUNK, len(asked)))))
        for start in range(0, len(asked), _CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Timeline:
    """Every user's visible rows, oldest first."""

    def __init__(self, state: State, visible: Log | None) -> None:
        chosen = state.past if visible is None else visible
        self._all_earlier = visible is None
        self._log = chosen.take(np.lexsort((np.nan_to_num(chosen.order), chosen.users)))
        log, bias = self._log, state.bias
        self._residuals = _residuals(bias, log)
        self._surprises = (log.labels - sigmoid(bias.intercept + bias.item[log.items])).astype(
            np.float32
        )
        self._ends = np.searchsorted(log.users, np.arange(state.shape[0] + 1))

    def histories(self, asked: Log, length: int) -> tuple[Histories, Doubles]:
        """The newest `length` rows before each of `asked`, and the logarithm of how many there are."""
        first, end = self._ends[asked.users], self._before(asked)
        at = end[:, None] - 1 - np.arange(length)
        known = at >= first[:, None]
        at = np.where(known, at, 0)
        log = self._log
        return Histories(
            np.where(known, log.items[at], -1),
            *(
                np.where(known, values[at], 0)
                for values in (self._residuals, self._surprises, log.labels)
            ),
        ), np.log1p(end - first)

    def _before(self, asked: Log) -> Ints:
        """Where each row's own moment begins among the user's visible rows."""
        if self._all_earlier:
            return self._ends[asked.users + 1]
        moments = np.union1d(self._log.order, asked.order)
        key = self._log.users * len(moments) + np.searchsorted(moments, self._log.order)
        return np.searchsorted(
            key, asked.users * len(moments) + np.searchsorted(moments, asked.order)
        )


def _describe(state: State, timeline: "Timeline", asked: Log) -> Features:
    users, items, bias = asked.users, asked.items, state.bias
    found = {
        "bias": bias.logits(users, items),
        "bias_user": bias.user[users],
        "bias_item": bias.item[items],
        "factors": products(state.user_factors, state.item_factors, users, items),
        "factors_norm": np.linalg.norm(state.user_factors[users], axis=1),
        "gap": np.log1p(np.maximum(asked.order - state.statistics["user_newest"][users], 0)),
    }
    for name, values in state.statistics.items():
        if name.startswith("item_"):
            found[name] = values[items]
        elif name != "user_newest":
            found[name] = values[users]
    if state.text_quality is not None:
        found["text_quality"] = state.text_quality[items]
    mine, found["visible"] = timeline.histories(asked, state.config.history)
    found |= _recent(mine)
    for name, similarity in state.similarities.items():
        found |= {
            f"{name}_{k}": v for k, v in _neighbours(similarity(items, mine.items), mine).items()
        }
    return {name: values.astype(np.float32) for name, values in found.items()}


def _recent(mine: Histories) -> dict[str, Floats]:
    known = mine.items >= 0
    found = {}
    for last in (3, 10, mine.items.shape[1]):
        count = known[:, :last].sum(1)
        found[f"last{last}_surprise"] = mine.surprises[:, :last].sum(1) / (count + 2.0)
        found[f"last{last}_residual"] = mine.residuals[:, :last].sum(1) / (count + 1.0)
        found[f"last{last}_label"] = _ratio(mine.labels[:, :last].sum(1), count)
    return found


def _neighbours(similar: Floats, mine: Histories) -> dict[str, Floats]:
    """`similar` `(rows, length)` of the candidate to each item of the history."""
    known = mine.items >= 0
    similar = np.where(known, similar, 0.0)
    liked, disliked = known & (mine.labels > 0), known & (mine.labels <= 0)
    near = np.maximum(similar, 0.0)
    sharp = near**3
    to_liked, to_disliked = (
        _ratio((similar * which).sum(1), which.sum(1)) for which in (liked, disliked)
    )
    return {
        "signed": (similar * mine.residuals).sum(1),
        "weighted": (near * mine.residuals).sum(1) / (near.sum(1) + 1.0),
        "sharp": (sharp * mine.residuals).sum(1) / (sharp.sum(1) + 0.1),
        "liked": to_liked,
        "disliked": to_disliked,
        "preference": to_liked - to_disliked,
        "liked_most": _most(similar, liked),
        "disliked_most": _most(similar, disliked),
        "last": np.where(known[:, 0], similar[:, 0], np.nan),
        "near": near.sum(1),
    }


def _most(similar: Floats, which: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]") -> Floats:
    most = np.where(which, similar, -np.inf).max(1)
    return np.where(np.isfinite(most), most, np.nan)


def _ratio(total: Floats, count: Floats) -> Floats:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _residuals(bias: Bias, log: Log) -> Floats:
    return (log.labels - sigmoid(bias.logits(log.users, log.items))).astype(np.float32)


def _dot(vectors: Floats) -> Similarity:
    def similarity(items: Ints, histories: Ints) -> Floats:
        values: Floats = np.matmul(vectors[histories], vectors[items][:, :, None])[:, :, 0]
        return values

    return similarity


def _lookup(table: Floats, place: Ints) -> Similarity:
    def similarity(items: Ints, histories: Ints) -> Floats:
        values: Floats = table[place[items][:, None], place[histories]]
        return values

    return similarity


def _text_quality(bias: Bias, past: Log, text: Floats) -> Doubles:
    """Item effects as a ridge regression on text sees them, items weighted by their rows."""
    counts = np.bincount(past.items, minlength=len(text)).astype(float)
    weight = counts / (counts + _SMOOTH)
    design = np.column_stack([text, np.ones(len(text))]).astype(np.float64)
    gram = (design * weight[:, None]).T @ design + 5.0 * np.eye(design.shape[1])
    return design @ np.linalg.solve(gram, design.T @ (weight * bias.item))


def _statistics(past: Log, residuals: Floats, shape: tuple[int, int]) -> dict[str, Doubles]:
    """Counts, means and ages, `(users,)` or `(items,)`."""
    rate = past.labels.mean()
    end, start = (
        (np.nan, np.nan) if np.isnan(past.order).any() else (past.order.max(), past.order.min())
    )
    recent = (
        np.exp((past.order - end) / max((end - start) / 10, 1e-9))
        if end > start
        else np.ones(len(past))
    )
    found: dict[str, Doubles] = {}
    for name, rows, size in (("user", past.users, shape[0]), ("item", past.items, shape[1])):
        count = np.bincount(rows, minlength=size)
        lately = np.bincount(rows, recent, size)
        found |= {
            f"{name}_count": np.log1p(count),
            f"{name}_mean": (np.bincount(rows, past.labels, size) + 5 * rate) / (count + 5),
            f"{name}_lately": np.log1p(lately),
            f"{name}_lately_mean": (np.bincount(rows, recent * residuals, size)) / (lately + 3),
            f"{name}_spread": _ratio(np.bincount(rows, residuals**2, size), count),
        }
        oldest = (
            pl.DataFrame({"row": rows, "order": past.order})
            .group_by("row")
            .agg(pl.col("order").min().alias("oldest"), pl.col("order").max().alias("newest"))
        )
        for edge in ("oldest", "newest"):
            values = np.full(size, np.nan)
            values[oldest["row"].to_numpy()] = oldest[edge].to_numpy()
            found[f"{name}_{edge}"] = (
                values
                if (name, edge) == ("user", "newest")
                else (end - values) / max(end - start, 1e-9)
            )
    return found
