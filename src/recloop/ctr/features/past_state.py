"""Statistics and small models of users and items, fitted on past rows only."""

from collections.abc import Callable

import numpy as np
import polars as pl

from recloop.config import ConfigModel
from recloop.ctr.log import Doubles, Floats, Ints, Log
from recloop.ctr.models.additive import Bias, fit_bias, sigmoid
from recloop.ctr.models.factors import exposure_vectors, fit_factors, grid, item_cosines, unit

# `(rows,)` items and `(rows, length)` histories → `(rows, length)` similarities.
Similarity = Callable[[Ints, Ints], Floats]
_TEXT_L2 = 5.0
_TINY = 1e-9


class StateConfig(ConfigModel):
    """Settings of what is fitted on the past.

    Attributes:
        history: Largest number of a user's earlier rows that features are computed from.
        bias_l2: Ridge penalty of the additive model.
        rank: Rank of the matrix factorisation.
        factor_l2: Its ridge penalty.
        exposure_rank: Rank of the exposure vectors.
        shrink: Number of common users at which an item-item cosine is halved.
        smooth: Number of average rows that a mean starts from.
        recent: Share of the past's time span after which a row counts 1/e.
        max_cosine_items: Largest number of items with cosines, the most popular ones.
        max_cosine_rows: Largest number of rows of a user that cosines are computed from.
        max_cosine_pairs: Largest number of item pairs that cosines are computed from.
        max_factor_rows: Largest number of rows that factors are fitted to.
    """

    history: int = 60
    bias_l2: float = 4.0
    rank: int = 16
    factor_l2: float = 6.0
    exposure_rank: int = 32
    shrink: float = 20.0
    smooth: float = 5.0
    recent: float = 0.1
    max_cosine_items: int = 5_000
    max_cosine_rows: int = 200
    max_cosine_pairs: int = 500_000_000
    max_factor_rows: int = 5_000_000


class State:
    """Everything that is fitted on the past.

    Attributes:
        users: Statistics of the users by name, `(users,)` each.
        items: Statistics of the items by name, `(items,)` each.
        newest: Last order of each user, `(users,)`; NaN if there is none.

    Args:
        past: Past rows.
        shape: Numbers of users and items.
        text: Unit text vectors, `(items, width)`, if there are any.
        config: Settings.
    """

    def __init__(
        self, past: Log, shape: tuple[int, int], text: Floats | None, config: StateConfig
    ) -> None:
        self.past, self.shape, self.config = past, shape, config
        self.bias = fit_bias(past, *shape, config.bias_l2)
        left = residuals(self.bias, past)
        few = past.sample(config.max_factor_rows)
        self.user_factors, self.item_factors = fit_factors(
            past.take(few), left[few], shape, config.rank, config.factor_l2
        )
        vectors = {
            "taste": unit(self.item_factors),
            "seen": exposure_vectors(past.take(few), shape, config.exposure_rank),
        } | ({} if text is None else {"text": text})
        self.similarities = {name: _dot(found) for name, found in vectors.items()}
        self.similarities["cosine"] = _cosines(past, left, shape, config)
        self.users, self.newest = _statistics(past, past.users, left, shape[0], config)
        self.items, _ = _statistics(past, past.items, left, shape[1], config)
        if text is not None:
            self.items["text_quality"] = _text_quality(self.bias, past, text, config.smooth)


def residuals(bias: Bias, log: Log) -> Floats:
    """Return the labels minus the additive model's probabilities, `(rows,)`, float32."""
    left: Floats = (log.labels - sigmoid(bias.logits(log.users, log.items))).astype(np.float32)
    return left


def _dot(vectors: Floats) -> Similarity:
    def similarity(items: Ints, histories: Ints) -> Floats:
        values: Floats = np.matmul(vectors[histories], vectors[items][:, :, None])[:, :, 0]
        return values

    return similarity


def _cosines(past: Log, left: Floats, shape: tuple[int, int], config: StateConfig) -> Similarity:
    """Return the cosines of the most popular items by all users' newest rows; 0 for other items.

    If that makes too many pairs of items, users are drawn at random.

    Args:
        past: Past rows.
        left: Residuals of the past rows, `(rows,)`.
        shape: Numbers of users and items.
        config: Settings.
    """
    rows = past.newest(config.max_cosine_rows)
    pairs = float((np.bincount(past.users[rows]).astype(np.float64) ** 2).sum())
    drawn = np.random.default_rng(0).random(shape[0]) < config.max_cosine_pairs / max(pairs, 1.0)
    rows = rows[drawn[past.users[rows]]]
    past, left = past.take(rows), left[rows]
    counts = np.bincount(past.items, minlength=shape[1])
    chosen = np.argsort(-counts, kind="stable")[: config.max_cosine_items]
    column = np.full(shape[1] + 1, len(chosen))  # item −1 has the last column, which is empty
    column[chosen] = np.arange(len(chosen))
    values, ones = (grid(past, v, shape)[:, chosen] for v in (left, np.ones_like(left)))
    table = np.pad(item_cosines(values, ones, config.shrink), (0, 1))

    def similarity(items: Ints, histories: Ints) -> Floats:
        found: Floats = table[column[items][:, None], column[histories]]
        return found

    return similarity


def _text_quality(bias: Bias, past: Log, text: Floats, smooth: float) -> Doubles:
    """Return item effects `(items,)` predicted from text by a ridge regression.

    Items are weighted by their number of rows. `text` is `(items, width)`.
    """
    from sklearn.linear_model import Ridge

    counts = np.bincount(past.items, minlength=len(text))
    weight = counts / (counts + 2 * smooth)
    design = np.column_stack([text, np.ones(len(text))]).astype(np.float64)
    # The penalty covers the intercept, which is therefore a column of ones.
    ridge = Ridge(alpha=_TEXT_L2, fit_intercept=False, solver="cholesky")
    predicted: Doubles = ridge.fit(design, bias.item, sample_weight=weight).predict(design)
    return predicted


def _statistics(
    past: Log, rows: Ints, left: Floats, size: int, config: StateConfig
) -> tuple[dict[str, Doubles], Doubles]:
    """Return counts, means and ages (as shares of the past's time span), and the newest orders.

    Args:
        past: Past rows.
        rows: Number of the user (or item) of each past row, `(past rows,)`.
        left: Residuals of the past rows, `(past rows,)`.
        size: Number of users (or items).
        config: Settings.

    Returns:
        Statistics by name and the newest orders, `(size,)` each.
    """
    start, end = past.order.min(), past.order.max()  # NaN where an order is unknown
    span = max(end - start, _TINY) if end > start else 1.0
    recent = np.nan_to_num(np.exp((past.order - end) / (config.recent * span)), nan=1.0)
    count, lately = np.bincount(rows, minlength=size), np.bincount(rows, recent, size)
    likes = np.bincount(rows, past.labels, size) + config.smooth * past.labels.mean()
    oldest, newest = _edges(rows, past.order, size)
    return {
        "count": np.log1p(count),
        "mean": likes / (count + config.smooth),
        "lately": np.log1p(lately),
        "lately_left": np.bincount(rows, recent * left, size) / (lately + config.smooth),
        "spread": np.where(
            count > 0, np.bincount(rows, left**2, size) / np.maximum(count, 1), np.nan
        ),
        "age": (end - oldest) / span,
        "silence": (end - newest) / span,
    }, newest


def _edges(rows: Ints, order: Doubles, size: int) -> tuple[Doubles, Doubles]:
    edges = (
        pl.DataFrame({"row": rows, "order": order})
        .group_by("row")
        .agg(pl.col("order").min().alias("oldest"), pl.col("order").max().alias("newest"))
    )
    found = np.full((2, size), np.nan)
    found[:, edges["row"].to_numpy()] = edges.select("oldest", "newest").to_numpy().T
    return found[0], found[1]
