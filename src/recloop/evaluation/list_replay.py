"""Lists of the log, asked again: how likely each was under the policy that drew it, and under another.

The log holds items, scores and propensities, not requests. So a request is made up of what the store
knows: the user, what they had done by then, and the moment. A list counts where the policy that drew it
gives the logged scores and propensities once more; one with a query, filters, a session or items that
came later does not, and that depends on what was asked and not on what was drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from recloop import columns as c
from recloop.evaluation.off_policy import Floats, Logged, NoExplorationError
from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.recommender.lists.experiments import Experiment, UnknownArmError
from recloop.recommender.lists.exploration import Greedy, Policy, Thompson
from recloop.recommender.lists.fixed_list_policy import fixed_list_policy
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import RankedItem, Request
from recloop.recommender.site_rules import SiteRules

# Scores of one model differ in their last bits from run to run.
_NEAR, _NOTHING = 1e-3, 1e-6


class CountsUnavailableError(ValueError):
    """A policy follows counts, which were others when the lists were drawn."""


@dataclass(frozen=True)
class ReplayedLists:
    """Lists that could be asked again, and how many could not."""

    logged: Logged
    left_out: int


@dataclass(frozen=True)
class PointInTimeHistories:
    """What the model knew and what it was told: `erased` are numbers of erasures by user."""

    recommender: Recommender
    events: Mapping[str, list[tuple[datetime, HistoryEvent]]]
    erased: Mapping[str, int]

    @classmethod
    def from_events(
        cls, recommender: Recommender, events: pl.DataFrame, erased: Mapping[str, int]
    ) -> "PointInTimeHistories":
        """From all events of a store."""
        newer = events.filter(pl.col("seq") > recommender.histories.last_sequence).sort(
            c.TIME, "seq", maintain_order=True
        )
        told: dict[str, list[tuple[datetime, HistoryEvent]]] = {}
        for user, item, event, at in newer.select(c.USER, c.ITEM, c.EVENT, c.TIME).iter_rows():
            told.setdefault(user, []).append((at, (item, event, at.timestamp())))
        return cls(recommender, told, erased)

    def history_before(self, user: str | None, at: datetime) -> UserHistory:
        """What was known of a user before a moment."""
        if user is None:
            return UserHistory.empty()
        before = [happened for when, happened in self.events.get(user, []) if when < at]
        packaged = self.recommender.histories.get(user, self.erased.get(user, 0))
        return packaged.updated_with(before, self.recommender.catalogue)


def replay_lists(
    served: pl.DataFrame,
    acted: pl.DataFrame,
    memory: PointInTimeHistories,
    house: SiteRules,
    target: Policy,
) -> ReplayedLists:
    """Lists of arms that explore, weighed for a target policy; a list is worth 1 where something was taken.

    `served` and `acted` are lists and events as the store has them, the lists of the model of `memory`. The
    worth is counted where the first item was taken from.

    Raises:
        CountsGoneError: the target is Thompson sampling.
        NoExplorationError: none of the lists could be asked again.
    """
    if isinstance(target, Thompson):
        raise CountsUnavailableError(
            "Thompson sampling follows counts, and those of then are gone: let the arm serve instead"
        )
    rows = list(served.filter(pl.col("items").list.len() > 0).iter_rows(named=True))
    weighed = [
        (row, *found) for row in rows if (found := _weighed(row, memory, house, target)) is not None
    ]
    if rows and not weighed:
        raise NoExplorationError(
            f"none of {len(rows)} lists could be asked again: are these the arms and rules that drew them?"
        )
    longest = max((len(row["items"]) for row, *_ in weighed), default=1)
    taken = _taken(acted)
    return ReplayedLists(
        Logged(
            [row[c.USER] or f"nobody {row[c.REQUEST]}" for row, *_ in weighed],
            _padded([before for _, before, _ in weighed], longest, 1.0),
            _padded([after for *_, after in weighed], longest, 1.0),
            _padded([_worth(row, taken) for row, *_ in weighed], longest, 0.0),
        ),
        len(rows) - len(weighed),
    )


def _weighed(
    row: Mapping[str, Any], memory: PointInTimeHistories, house: SiteRules, target: Policy
) -> tuple[list[float], list[float]] | None:
    """Propensities of the policy that drew the list, as logged, and of the target."""
    policy = _policy(house.experiment, row["arm"])
    if policy is None:
        return None
    asked = Request(
        memory.history_before(row[c.USER], row[c.TIME]), k=len(row["items"]), time=row[c.TIME]
    )

    def follow(policy: Policy) -> list[RankedItem]:
        shape = ListOptions(rules=house.rules, policy=fixed_list_policy(row["items"], policy))
        return memory.recommender.recommend(replace(asked, options=shape))

    found, logged = follow(policy), row["propensities"]
    if [item.item_id for item in found] != row["items"]:
        return None
    told = [(item.score, item.propensity) for item in found]
    if not np.allclose(
        told, list(zip(row["scores"], logged, strict=True)), rtol=_NEAR, atol=_NOTHING
    ):
        return None
    return logged, [item.propensity for item in follow(target)]


def _policy(experiment: Experiment, arm: str) -> Policy | None:
    """Of an arm that explores, by the file as it is now."""
    try:
        policy = experiment.policy(arm)
    except UnknownArmError:
        return None
    return None if isinstance(policy, Greedy) else policy


def _taken(acted: pl.DataFrame) -> set[tuple[str, str]]:
    """Request and item of each positive event that names its list."""
    positive = acted.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    return set(positive.select(c.REQUEST, c.ITEM).drop_nulls().iter_rows())


def _worth(row: Mapping[str, Any], taken: set[tuple[str, str]]) -> list[float]:
    """1 at the first place from which something was taken."""
    found = [(row[c.REQUEST], item) in taken for item in row["items"]]
    first = found.index(True) if any(found) else -1
    return [float(place == first) for place in range(len(found))]


def _padded(lists: list[list[float]], width: int, beyond: float) -> Floats:
    table = np.full((len(lists), width), beyond)
    for row, values in enumerate(lists):
        table[row, : len(values)] = values
    return table
