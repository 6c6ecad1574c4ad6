"""Our click-through model: features of the past, boosted trees, calibrated probabilities."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recloop.config import Settings
from recloop.evaluation.ctr import quality
from recloop.evaluation.report import OURS
from recloop.logs import get_log
from recloop.models.ctr.calibrate import fit_calibration
from recloop.models.ctr.features import describe
from recloop.models.ctr.linear import Linear
from recloop.models.ctr.log import Doubles, Floats, Log
from recloop.models.ctr.state import State, StateConfig
from recloop.training.ctr.baselines import BASELINES
from recloop.training.ctr.boost import BoostConfig, Table, choose, fitted_scores, stacked
from recloop.training.ctr.folds import folds, kind_of
from recloop.training.ctr.problem import Problem, joined

# Of the linear model in the average.
_SHARES = (0.0, 0.25, 0.5, 0.75)


class CtrConfig(Settings):
    """Everything that the model depends on, besides the data.

    `reveal`: whose labels a row's history may hold. `training`: training and validation rows alone.
    `earlier`: also rows of the same part that are strictly earlier, test rows too, as a live system
    would know them; models are fitted to training and validation rows all the same. It needs an order,
    and says nothing where the test is spread over the same time as training.
    `max_rows` bounds the training rows that trees are fitted to (a random part; all rows count as past).
    """

    state: StateConfig = StateConfig()
    boost: BoostConfig = BoostConfig()
    folds: int = 6
    max_rows: int = 1_000_000
    reveal: Literal["training", "earlier"] = "training"
    linear_l2: float = 100.0
    seed: int = 42


def boosted(problem: Problem, config: CtrConfig) -> Doubles:
    """Probabilities of the test rows, `(test rows,)`: trees and a linear model, log-odds averaged."""
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
    known = stacked([train, valid])
    asked = _table(problem, problem.known, problem.test, config).features
    trees = fitted_scores(known, asked, chosen, config.boost, config.seed)
    return calibrated((1 - share) * trees + share * _linear(known, asked, config))


def _linear(known: Table, asked: Floats, config: CtrConfig) -> Doubles:
    part = known.sample(config.boost.search_rows, config.seed)
    return Linear(part.features, part.labels, config.linear_l2).scores(asked)


def contestants(config: CtrConfig | None = None) -> dict[str, Callable[[Problem], Doubles]]:
    """Ours and the baselines: each takes the problem and gives the test rows' probabilities."""
    ours = config or CtrConfig()
    return {OURS: lambda problem: boosted(problem, ours), **BASELINES}


def predict_test(
    interactions: pl.DataFrame,
    texts: Sequence[str],
    text_vectors: NDArray[np.float32] | None = None,
    config: CtrConfig | None = None,
    model: str = OURS,
) -> Doubles:
    """Probabilities of the rows whose split is test, in the frame's order.

    Raises:
        ValueError: as `Problem.from_frame` does.
        KeyError: there is no such model.
    """
    return contestants(config)[model](Problem.from_frame(interactions, texts, text_vectors))


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
    """Features of `part`, or of a random `at_most` of its rows."""
    state = State(past, problem.shape, problem.text, config.state)
    visible = None
    if config.reveal == "earlier" and kind_of(problem.known, problem.test) != "random":
        visible = joined(past, part)
    asked = part if at_most is None else part.take(part.sample(at_most, config.seed))
    features: Floats = np.column_stack(list(describe(state, asked, visible).values()))
    return Table(features, asked.labels, asked.weights, asked.users)
