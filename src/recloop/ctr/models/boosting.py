"""Gradient boosting over the features: a small search, then models of several seeds.

Reference:
    Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recloop.config import ConfigModel
from recloop.ctr.log import Doubles, Floats, Ints
from recloop.ctr.metrics import quality

if TYPE_CHECKING:
    import lightgbm as lgb


class BoostConfig(ConfigModel):
    """Settings of gradient boosting.

    Attributes:
        leaves: Numbers of leaves that are tried.
        learning_rate: Learning rate.
        min_rows_in_leaf: Smallest number of rows in a leaf.
        l2: Ridge penalty of the leaves.
        max_rounds: Largest number of trees.
        patience: Trees without improvement after which the search stops.
        min_rounds: Smallest number of trees.
        seeds: Number of models that are averaged.
        search_rows: Largest number of rows in the search.
    """

    leaves: tuple[int, ...] = (7, 15, 31)
    learning_rate: float = 0.05
    min_rows_in_leaf: int = 100
    l2: float = 10.0
    max_rounds: int = 800
    patience: int = 50
    min_rounds: int = 60
    seeds: int = 3
    search_rows: int = 300_000


@dataclass(frozen=True)
class Table:
    """Features `(rows, width)`, and labels, weights and users, `(rows,)` each."""

    features: Floats
    labels: Floats
    weights: Floats
    users: Ints

    def sample(self, at_most: int, seed: int) -> "Table":
        """Return at most `at_most` rows, drawn at random."""
        if len(self.labels) <= at_most:
            return self
        rows = np.random.default_rng(seed).choice(len(self.labels), at_most, replace=False)
        return Table(self.features[rows], self.labels[rows], self.weights[rows], self.users[rows])


def stacked(tables: Sequence[Table]) -> Table:
    """Return the rows of all tables, in order."""
    return Table(
        np.concatenate([table.features for table in tables]),
        np.concatenate([table.labels for table in tables]),
        np.concatenate([table.weights for table in tables]),
        np.concatenate([table.users for table in tables]),
    )


@dataclass(frozen=True)
class Chosen:
    """Settings with the best validation result.

    Attributes:
        leaves: Number of leaves.
        rounds: Number of trees.
        scores: Log-odds of the validation rows, `(validation rows,)`.
    """

    leaves: int
    rounds: int
    scores: Doubles


def choose(train: Table, valid: Table, config: BoostConfig, seed: int) -> Chosen:
    """Choose the number of leaves and trees with the best AUC + UAUC on the validation rows."""
    part = train.sample(config.search_rows, seed)
    tried = [_try(part, valid, leaves, config, seed) for leaves in config.leaves]
    return max(tried, key=lambda one: quality(valid.users, valid.labels, one.scores))


def _try(train: Table, valid: Table, leaves: int, config: BoostConfig, seed: int) -> Chosen:
    import lightgbm as lgb

    data = lgb.Dataset(train.features, train.labels, weight=train.weights)
    booster = lgb.train(
        _parameters(len(train.labels), leaves, config, seed),
        data,
        config.max_rounds,
        valid_sets=[data.create_valid(valid.features, valid.labels, weight=valid.weights)],
        callbacks=[lgb.early_stopping(config.patience, verbose=False)],
        keep_training_booster=True,  # Otherwise only the best rounds are kept.
    )
    rounds = max(booster.best_iteration, config.min_rounds)
    return Chosen(leaves, rounds, _scores(booster, valid.features, rounds))


def fitted_scores(
    train: Table, features: Floats, chosen: Chosen, config: BoostConfig, seed: int
) -> Doubles:
    """Return the mean log-odds over models of several seeds.

    Args:
        train: Rows to fit.
        features: Features of the rows to score, `(rows, width)`.
        chosen: Numbers of leaves and trees.
        config: Settings.
        seed: First seed.

    Returns:
        Log-odds, `(rows,)`, float64.
    """
    import lightgbm as lgb

    data = lgb.Dataset(train.features, train.labels, weight=train.weights)
    total = np.zeros(len(features))
    for extra in range(config.seeds):
        parameters = _parameters(len(train.labels), chosen.leaves, config, seed + extra)
        total += _scores(lgb.train(parameters, data, chosen.rounds), features, chosen.rounds)
    return total / config.seeds


def _scores(booster: "lgb.Booster", features: Floats, rounds: int) -> Doubles:
    scores = booster.predict(features, raw_score=True, num_iteration=rounds)
    return np.asarray(scores, np.float64)


def _parameters(rows: int, leaves: int, config: BoostConfig, seed: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": max(5, min(config.min_rows_in_leaf, rows // 50)),
        "lambda_l2": config.l2,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 63,
        "feature_pre_filter": False,
        "force_row_wise": True,
        "deterministic": True,
        "seed": seed,
        "verbose": -1,
    }
