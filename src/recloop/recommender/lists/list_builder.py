"""List builder: lists by boosts, quotas, diversity, calibration and an exploration policy.

The builder chooses among a pool of candidates, all of which are eligible.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recloop.data.catalogue import Catalogue, Rows
from recloop.recommender.items.availability import ItemAvailability
from recloop.recommender.lists.boosts_and_quotas import ListRules, QuotaTracker
from recloop.recommender.lists.diversity import Floats, MarginalUtility
from recloop.recommender.lists.exploration import (
    NO_COUNTS,
    ExploringPolicy,
    Greedy,
    ItemCounts,
    Policy,
    Sampler,
)
from recloop.schemas.rules import Quota
from recloop.scoring.candidate_set import Candidates
from recloop.scoring.query.matcher import QueryMatcher
from recloop.scoring.scorer import Scores

# Candidates in the pool, unless a policy has its own number.
POOL = 300


@dataclass(frozen=True)
class ListOptions:
    """Options of a list.

    Attributes:
        rules: Boosts and quotas.
        diversity: Weight of diversity, 0 (none) to 1.
        calibration: Weight of calibration to the categories of the history, 0 (none) to 1.
        policy: Policy that draws the items.
        counts: Impressions and clicks of items, for Thompson sampling.
        seed: Seed of the policy's random numbers.
    """

    rules: ListRules = field(default_factory=ListRules)
    diversity: float = 0.0
    calibration: float = 0.0
    policy: Policy = field(default_factory=Greedy)
    counts: ItemCounts = NO_COUNTS
    seed: int = 0

    @property
    def is_default(self) -> bool:
        """Return whether the list is the best k items by score."""
        greedy = not isinstance(self.policy, ExploringPolicy)
        return greedy and self.rules.is_empty and not self.diversity and not self.calibration


DEFAULT_OPTIONS = ListOptions()


@dataclass(frozen=True)
class BuiltList:
    """Positions of the chosen items among the candidates, in order, and their propensities.

    A propensity is the probability of the item at its position, given the items before it.
    """

    positions: Rows
    propensities: Sequence[float]


@dataclass(frozen=True)
class ListBuilder:
    """Builds lists of scored candidates.

    Attributes:
        catalogue: Items and their rows.
        availability: Attributes of the items.
        query: Text vectors of the items.
        candidates: The candidates that were scored.
    """

    catalogue: Catalogue
    availability: ItemAvailability
    query: QueryMatcher
    candidates: Candidates

    def build(self, options: ListOptions, scores: Scores, k: int, history: Rows) -> BuiltList:
        """Build a list of at most k items.

        Args:
            options: Options of the list.
            scores: Scores including boosts, -inf for ineligible candidates, shape `(candidates,)`.
            k: Length of the list.
            history: Item rows of the history, for calibration.
        """
        quotas = options.rules.quotas
        attributes, scored = self.availability.attributes, self.candidates.rows
        members = [attributes.in_categories([quota.category])[scored] for quota in quotas]
        least = options.policy.pool if isinstance(options.policy, ExploringPolicy) else POOL
        pool = _pool(scores, max(least, k), k, quotas, members)
        rows = self.candidates.rows_at(pool)
        inside = np.array([own[pool] for own in members], np.bool_).reshape(len(members), len(pool))
        limits = QuotaTracker(quotas, inside, k)
        draw = options.policy.sampler([self.catalogue.ids[row] for row in rows], options.counts)
        positions, propensities = draw_list(
            self._utility(options, rows, scores[pool].astype(np.float64), history),
            limits,
            draw,
            k,
            np.random.default_rng(options.seed),
        )
        return BuiltList(pool[positions], propensities)

    def _utility(
        self, options: ListOptions, rows: Rows, scores: Floats, history: Rows
    ) -> MarginalUtility | None:
        if not len(rows):
            return None
        categories = self.availability.attributes.categories
        vector = self.query.items.vector
        return MarginalUtility(
            scores,
            options.diversity,
            np.stack([vector(int(row)) for row in rows]).astype(np.float64)
            if options.diversity
            else None,
            options.calibration,
            [categories(int(row)) for row in rows] if options.calibration else (),
            [categories(int(row)) for row in history] if options.calibration else (),
        )


def draw_list(
    useful: MarginalUtility | None,
    limits: QuotaTracker,
    draw: Sampler,
    k: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], list[float]]:
    """Draw at most k candidates one after the other.

    Args:
        useful: Utility of each candidate given the ones drawn before; None for an empty pool.
        limits: Quotas.
        draw: Policy.
        k: Length of the list.
        rng: Random numbers.

    Returns:
        Positions in the pool in the order of the draws, shape `(drawn,)`, and their propensities.
    """
    taken, propensities = np.empty(0, np.int64), list[float]()
    if useful is None:
        return taken, propensities
    free = np.ones(len(useful.given(taken)), np.bool_)
    while len(taken) < k:
        positions = np.flatnonzero(limits.eligible(free, taken))
        if not len(positions):
            break
        chosen, propensity = draw(useful.given(taken)[positions], positions, rng)
        free[positions[chosen]] = False
        taken = np.append(taken, positions[chosen])
        propensities.append(propensity)
    return taken, propensities


def _pool(
    scores: Scores,
    count: int,
    k: int,
    quotas: Sequence[Quota],
    members: Sequence[NDArray[np.bool_]],
) -> Rows:
    """Return positions of the best candidates, best first, shape `(pool,)`."""
    found = [_best(scores, np.ones(len(scores), np.bool_), count)]
    capped = np.zeros(len(scores), np.bool_)
    for quota, own in zip(quotas, members, strict=True):
        found.append(_best(scores, own, max(quota.at_least, quota.max_of(k))))
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
