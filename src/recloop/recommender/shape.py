"""A list that is more than the best scores: boosts, quotas, diversity, calibration, exploration.

All of it chooses among a pool of candidates, which are rows that the final filter has let through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Catalogue, Rows
from recloop.models.query import QuerySide
from recloop.models.scope import Scope
from recloop.models.scorer import Scores
from recloop.recommender.diversity import Floats, Usefulness
from recloop.recommender.explore import NO_COUNTS, Counts, Draw, Exploring, Greedy, Policy
from recloop.recommender.offer import Offer
from recloop.recommender.rules import Limits, Quota, Rules

# How many candidates are looked at, where no policy says otherwise.
POOL = 300


@dataclass(frozen=True)
class Shape:
    """How a list is chosen. `diversity` and `calibration` in 0…1; `seed` is of everything random."""

    rules: Rules = field(default_factory=Rules)
    diversity: float = 0.0
    calibration: float = 0.0
    policy: Policy = field(default_factory=Greedy)
    counts: Counts = NO_COUNTS
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether it is the best scores and nothing else."""
        greedy = not isinstance(self.policy, Exploring)
        return greedy and self.rules.empty and not self.diversity and not self.calibration


PLAIN = Shape()


@dataclass(frozen=True)
class Shaped:
    """Places in scope in their order, each with the probability that it is here, given those before it."""

    places: Rows
    propensities: Sequence[float]


@dataclass(frozen=True)
class Shelf:
    """What is known of the items that lists are made of, and which of them are scored."""

    catalogue: Catalogue
    offer: Offer
    query: QuerySide
    scope: Scope

    def arrange(self, shape: Shape, scores: Scores, k: int, history: Rows) -> Shaped:
        """At most k places. `scores` `(items in scope,)`: with boosts, -inf for what must not leave."""
        quotas = shape.rules.quotas
        facts, scored = self.offer.facts, self.scope.rows
        members = [facts.in_categories([quota.category])[scored] for quota in quotas]
        least = shape.policy.pool if isinstance(shape.policy, Exploring) else POOL
        pool = _pool(scores, max(least, k), k, quotas, members)
        rows = self.scope.rows_at(pool)
        inside = np.array([own[pool] for own in members], np.bool_).reshape(len(members), len(pool))
        limits = Limits(quotas, inside, k)
        draw = shape.policy.draws([self.catalogue.ids[row] for row in rows], shape.counts)
        places, propensities = choose(
            self._usefulness(shape, rows, scores[pool].astype(np.float64), history),
            limits,
            draw,
            k,
            np.random.default_rng(shape.seed),
        )
        return Shaped(pool[places], propensities)

    def _usefulness(
        self, shape: Shape, rows: Rows, scores: Floats, history: Rows
    ) -> Usefulness | None:
        if not len(rows):
            return None
        said = self.offer.facts.categories
        vector = self.query.searched.vector
        return Usefulness(
            scores,
            shape.diversity,
            np.stack([vector(int(row)) for row in rows]).astype(np.float64)
            if shape.diversity
            else None,
            shape.calibration,
            [said(int(row)) for row in rows] if shape.calibration else (),
            [said(int(row)) for row in history] if shape.calibration else (),
        )


def choose(
    useful: Usefulness | None, limits: Limits, draw: Draw, k: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[float]]:
    """Places of at most k candidates in the order in which they were drawn, and their propensities."""
    taken, propensities = np.empty(0, np.int64), list[float]()
    if useful is None:
        return taken, propensities
    free = np.ones(len(useful.of(taken)), np.bool_)
    while len(taken) < k:
        places = np.flatnonzero(limits.eligible(free, taken))
        if not len(places):
            break
        chosen, propensity = draw(useful.of(taken)[places], places, rng)
        free[places[chosen]] = False
        taken = np.append(taken, places[chosen])
        propensities.append(propensity)
    return taken, propensities


def _pool(
    scores: Scores,
    count: int,
    k: int,
    quotas: Sequence[Quota],
    members: Sequence[NDArray[np.bool_]],
) -> Rows:
    """The best rows, and of each quota's category and of what has none as many as may be needed."""
    found = [_best(scores, np.ones(len(scores), np.bool_), count)]
    capped = np.zeros(len(scores), np.bool_)
    for quota, own in zip(quotas, members, strict=True):
        found.append(_best(scores, own, max(quota.at_least, quota.most(k))))
        if quota.at_most is not None:
            capped |= own
    if capped.any():
        found.append(_best(scores, ~capped, k))
    rows = np.unique(np.concatenate(found))
    return rows[np.argsort(-scores[rows], kind="stable")]


def _best(scores: Scores, among: NDArray[np.bool_], count: int) -> Rows:
    rows = np.flatnonzero(among & (scores > -np.inf))
    if len(rows) <= count:
        return rows
    return rows[np.argpartition(-scores[rows], count - 1)[:count]] if count else rows[:0]
