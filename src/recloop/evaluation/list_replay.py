"""Replay of served lists: their propensities under the logging policy and under a target policy.

The log holds items, scores and propensities, but no requests. A request is therefore reconstructed
from the store: the user, the events before it, and its time. A list is used only if the logging
policy reproduces the logged scores and propensities. Lists with a query, filters, a session or live
items are left out; this selection depends on the request and not on the drawn items.
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

# Tolerances: scores of one model differ in their last bits from run to run.
_NEAR, _NOTHING = 1e-3, 1e-6


class CountsUnavailableError(ValueError):
    """Error: a policy depends on click counts that have changed since the lists were drawn."""


@dataclass(frozen=True)
class ReplayedLists:
    """Lists that could be reconstructed, and the number of those that could not."""

    logged: Logged
    left_out: int


@dataclass(frozen=True)
class PointInTimeHistories:
    """User histories as they were at the time of a request.

    Attributes:
        recommender: The packaged model with its histories.
        events: Events of each user since the model was packaged, with their times, oldest first.
        erased: Number of erasures of each user.
    """

    recommender: Recommender
    events: Mapping[str, list[tuple[datetime, HistoryEvent]]]
    erased: Mapping[str, int]

    @classmethod
    def from_events(
        cls, recommender: Recommender, events: pl.DataFrame, erased: Mapping[str, int]
    ) -> "PointInTimeHistories":
        """Return the histories of a model and of the events stored since it was packaged.

        Args:
            recommender: The packaged model.
            events: Events of a store; columns seq, user_id, item_id, event, timestamp.
            erased: Number of erasures of each user.
        """
        newer = events.filter(pl.col("seq") > recommender.histories.last_sequence).sort(
            c.TIME, "seq", maintain_order=True
        )
        told: dict[str, list[tuple[datetime, HistoryEvent]]] = {}
        for user, item, event, at in newer.select(c.USER, c.ITEM, c.EVENT, c.TIME).iter_rows():
            told.setdefault(user, []).append((at, (item, event, at.timestamp())))
        return cls(recommender, told, erased)

    def history_before(self, user: str | None, at: datetime) -> UserHistory:
        """Return the history of a user before a time; empty without a user."""
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
    """Replay the lists of exploring arms under the logging policy and under a target policy.

    The reward of a list is 1 if an item had a positive event, at the highest position with one.

    Args:
        served: Served lists of the model of `memory`; columns request_id, user_id, timestamp, arm,
            items, scores, propensities.
        acted: Events of the store; columns request_id, item_id, event.
        memory: User histories as they were at the time of each list.
        house: Site rules with the experiment.
        target: The policy to be evaluated.

    Raises:
        CountsUnavailableError: The target is Thompson sampling.
        NoExplorationError: None of the lists could be reconstructed.
    """
    if isinstance(target, Thompson):
        raise CountsUnavailableError(
            "Thompson sampling depends on past click counts, which are not stored: "
            "let the arm serve instead"
        )
    rows = list(served.filter(pl.col("items").list.len() > 0).iter_rows(named=True))
    weighed = [
        (row, *found) for row in rows if (found := _weighed(row, memory, house, target)) is not None
    ]
    if rows and not weighed:
        raise NoExplorationError(
            f"none of {len(rows)} lists could be reconstructed: "
            "are these the arms and rules that drew them?"
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
    """Return the logged propensities of a list and those of the target; None if not replayable."""
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
    """Return the present policy of an arm; None if the arm is unknown or does not explore."""
    try:
        policy = experiment.policy(arm)
    except UnknownArmError:
        return None
    return None if isinstance(policy, Greedy) else policy


def _taken(acted: pl.DataFrame) -> set[tuple[str, str]]:
    """Return request id and item id of each positive event on a served list."""
    positive = acted.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    return set(positive.select(c.REQUEST, c.ITEM).drop_nulls().iter_rows())


def _worth(row: Mapping[str, Any], taken: set[tuple[str, str]]) -> list[float]:
    """Return the rewards of a list: 1 at the highest position with a positive event, else 0."""
    found = [(row[c.REQUEST], item) in taken for item in row["items"]]
    first = found.index(True) if any(found) else -1
    return [float(place == first) for place in range(len(found))]


def _padded(lists: list[list[float]], width: int, beyond: float) -> Floats:
    table = np.full((len(lists), width), beyond)
    for row, values in enumerate(lists):
        table[row, : len(values)] = values
    return table
