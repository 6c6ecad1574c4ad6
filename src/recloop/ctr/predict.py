"""Click-through model: features of past interactions, boosted trees, calibrated probabilities."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.config import ConfigModel
from recloop.ctr.baselines import BASELINES
from recloop.ctr.features.pair_features import describe
from recloop.ctr.features.past_state import State, StateConfig
from recloop.ctr.folds import folds, kind_of
from recloop.ctr.log import Doubles, Floats, Log
from recloop.ctr.metrics import quality
from recloop.ctr.models.boosting import BoostConfig, Table, choose, fitted_scores, stacked
from recloop.ctr.models.calibration import fit_calibration
from recloop.ctr.models.linear import Linear
from recloop.ctr.problem import Problem, joined
from recloop.evaluation.report import RECLOOP
from recloop.logs import get_log

# Shares of the linear model in the average that are tried.
_SHARES = (0.0, 0.25, 0.5, 0.75)


class CtrConfig(ConfigModel):
    """Settings of the click-through model.

    Attributes:
        state: Statistics of the past.
        boost: Gradient boosting.
        folds: Folds of the training rows.
        max_rows: Largest number of training rows that trees are fitted to, drawn at random; all
            rows count as past.
        reveal: Rows whose labels a row's history may hold. `training`: training and validation rows
            only. `earlier`: also strictly earlier rows of the same part, test rows included, as a
            live system would know them; models are still fitted to training and validation rows.
            It needs an order, and has no effect if test and training cover the same time.
        linear_l2: Ridge penalty of the linear model.
        seed: Seed of the random numbers.
    """

    state: StateConfig = StateConfig()
    boost: BoostConfig = BoostConfig()
    folds: int = 6
    max_rows: int = 1_000_000
    reveal: Literal["training", "earlier"] = "training"
    linear_l2: float = 100.0
    seed: int = 42


def boosted(problem: Problem, config: CtrConfig) -> Doubles:
    """Return probabilities `(test rows,)`: mean log-odds of boosted trees and a linear model."""
    if len(problem.train) > config.max_rows:
        get_log("ctr").warning(
            "a random part trains", rows=len(problem.train), at_most=config.max_rows
        )
    train = _training_table(problem, config)
    valid = _table(problem, problem.train, problem.valid, config, config.max_rows)
    chosen = choose(train, valid, config.boost, config.seed)
    linear = _linear(train, valid.features, config)

    def blended(share: float) -> Doubles:
        return (1 - share) * chosen.scores + share * linear

    share = max(_SHARES, key=lambda one: quality(valid.users, valid.labels, blended(one)))
    calibrated = fit_calibration(blended(share), valid.labels, log_odds=True)
    both = stacked([train, valid])
    test = _table(problem, problem.train_and_valid, problem.test, config).features
    trees = fitted_scores(both, test, chosen, config.boost, config.seed)
    return calibrated((1 - share) * trees + share * _linear(both, test, config))


def _linear(train: Table, features: Floats, config: CtrConfig) -> Doubles:
    part = train.sample(config.boost.search_rows, config.seed)
    return Linear(part.features, part.labels, config.linear_l2).scores(features)


def ctr_models(config: CtrConfig | None = None) -> dict[str, Callable[[Problem], Doubles]]:
    """Return recloop's model and the baselines by name.

    Each is a function from a problem to the probabilities of its test rows, `(test rows,)`.
    """
    ours = config or CtrConfig()
    return {RECLOOP: lambda problem: boosted(problem, ours), **BASELINES}


def predict_test(
    interactions: pl.DataFrame,
    texts: Sequence[str],
    text_vectors: NDArray[np.float32] | None = None,
    config: CtrConfig | None = None,
    model: str = RECLOOP,
) -> Doubles:
    """Return probabilities of the test rows.

    Args:
        interactions: See `Problem.from_frame`.
        texts: Text of each item.
        text_vectors: Text vectors, `(items, width)`; made of the texts' words if not given.
        config: Settings of recloop's model.
        model: Name of the model (see `ctr_models`).

    Returns:
        Probabilities, `(test rows,)`, in the order of the frame.

    Raises:
        ValueError: See `Problem.from_frame`.
        KeyError: There is no such model.
    """
    return ctr_models(config)[model](Problem.from_frame(interactions, texts, text_vectors))


def _training_table(problem: Problem, config: CtrConfig) -> Table:
    train = problem.train
    found = folds(train, problem.test, config.folds, config.seed)
    at_most = config.max_rows // len(found)
    return stacked(
        [_table(problem, train.take(f.past), train.take(f.rows), config, at_most) for f in found]
    )


def _table(
    problem: Problem, past: Log, part: Log, config: CtrConfig, at_most: int | None = None
) -> Table:
    """Return the features of `part`, or of at most `at_most` of its rows drawn at random."""
    state = State(past, problem.shape, problem.text, config.state)
    visible = None
    if config.reveal == "earlier" and kind_of(problem.train_and_valid, problem.test) != "random":
        visible = joined(past, part)
    rows = part if at_most is None else part.take(part.sample(at_most, config.seed))
    features: Floats = np.column_stack(list(describe(state, rows, visible).values()))
    return Table(features, rows.labels, rows.weights, rows.users)
