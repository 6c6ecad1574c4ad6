"""Gradient boosting (LightGBM, Ke et al. 2017) over the features: a small search, then several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from recloop.config import Settings
from recloop.evaluation.ctr import quality
from recloop.models.ctr.log import Doubles, Floats, Ints


class BoostConfig(Settings):
    """Settings of the trees. `leaves` are the sizes that validation chooses from."""

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
    """Features `(rows, width)`, labels, weights and users, parallel."""

    features: Floats
    labels: Floats
    weights: Floats
    users: Ints

    def sample(self, at_most: int, seed: int) -> "Table":
        """A random part of the rows, all of them where they are few enough."""
        if len(self.labels) <= at_most:
            return self
        rows = np.random.default_rng(seed).choice(len(self.labels), at_most, replace=False)
        return Table(self.features[rows], self.labels[rows], self.weights[rows], self.users[rows])


def stacked(tables: Sequence[Table]) -> Table:
    """One below the other."""
    return Table(
        np.concatenate([table.features for table in tables]),
        np.concatenate([table.labels for table in tables]),
        np.concatenate([table.weights for table in tables]),
        np.concatenate([table.users for table in tables]),
    )


@dataclass(frozen=True)
class Chosen:
    """What validation chose, and the validation scores (log-odds) it was chosen by."""

    leaves: int
    rounds: int
    scores: Doubles


def choose(train: Table, valid: Table, config: BoostConfig, seed: int) -> Chosen:
    """Size of trees and number of rounds with the best AUC + UAUC on `valid`."""
    part = train.sample(config.search_rows, seed)
    tried = [_try(part, valid, leaves, config, seed) for leaves in config.leaves]
    return max(tried, key=lambda one: quality(valid.users, valid.labels, one.scores))


def _try(train: Table, valid: Table, leaves: int, config: BoostConfig, seed: int) -> Chosen:
    data = lgb.Dataset(train.features, train.labels, weight=train.weights)
    booster = lgb.train(
        _parameters(len(train.labels), leaves, config, seed),
        data,
        config.max_rounds,
        valid_sets=[data.create_valid(valid.features, valid.labels, weight=valid.weights)],
        callbacks=[lgb.early_stopping(config.patience, verbose=False)],
        keep_training_booster=True,  # else only the best rounds are kept, fewer than the least
    )
    rounds = max(booster.best_iteration, config.min_rounds)
    return Chosen(leaves, rounds, _scores(booster, valid.features, rounds))


def fitted_scores(
    known: Table, asked: Floats, chosen: Chosen, config: BoostConfig, seed: int
) -> Doubles:
    """Mean log-odds of `asked` over models of several seeds, fitted to all that is known."""
    data = lgb.Dataset(known.features, known.labels, weight=known.weights)
    total = np.zeros(len(asked))
    for extra in range(config.seeds):
        parameters = _parameters(len(known.labels), chosen.leaves, config, seed + extra)
        total += _scores(lgb.train(parameters, data, chosen.rounds), asked, chosen.rounds)
    return total / config.seeds


def _scores(booster: lgb.Booster, features: Floats, rounds: int) -> Doubles:
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
