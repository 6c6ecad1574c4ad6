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
from recloop.evaluation.off_policy import FloatArray, LoggedLists, NoExplorationError
from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.recommender.lists.experiments import Experiment, UnknownArmError
from recloop.recommender.lists.exploration import Greedy, Policy, Thompson
from recloop.recommender.lists.fixed_list_policy import fixed_list_policy
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import RankedItem, Request
from recloop.recommender.site_rules import SiteRules

# Tolerances: scores of one model differ in their last bits from run to run.
_RELATIVE_TOLERANCE, _ABSOLUTE_TOLERANCE = 1e-3, 1e-6


class CountsUnavailableError(ValueError):
    """Error: a policy depends on click counts that have changed since the lists were drawn."""


@dataclass(frozen=True)
class ReplayedLists:
    """Lists that could be reconstructed, and the number of those that could not."""

    lists: LoggedLists
    skipped: int


@dataclass(frozen=True)
class PointInTimeHistories:
    """User histories as they were at the time of a request.

    Attributes:
        recommender: The packaged model with its histories.
        events: Events of each user since the model was packaged, with their times, oldest first.
        erasure_counts: Number of erasures of each user.
    """

    recommender: Recommender
    events: Mapping[str, list[tuple[datetime, HistoryEvent]]]
    erasure_counts: Mapping[str, int]

    @classmethod
    def from_events(
        cls, recommender: Recommender, events: pl.DataFrame, erasure_counts: Mapping[str, int]
    ) -> "PointInTimeHistories":
        """Return the histories of a model and of the events stored since it was packaged.

        Args:
            recommender: The packaged model.
            events: Events of a store; columns seq, user_id, item_id, event, timestamp.
            erasure_counts: Number of erasures of each user.
        """
        new_events = events.filter(pl.col("seq") > recommender.histories.last_sequence).sort(
            c.TIME, "seq", maintain_order=True
        )
        events_by_user: dict[str, list[tuple[datetime, HistoryEvent]]] = {}
        for user, item, event, time in new_events.select(
            c.USER, c.ITEM, c.EVENT, c.TIME
        ).iter_rows():
            events_by_user.setdefault(user, []).append((time, (item, event, time.timestamp())))
        return cls(recommender, events_by_user, erasure_counts)

    def history_before(self, user: str | None, time: datetime) -> UserHistory:
        """Return the history of a user before a time; empty without a user."""
        if user is None:
            return UserHistory.empty()
        earlier = [event for event_time, event in self.events.get(user, []) if event_time < time]
        packaged = self.recommender.histories.get(user, self.erasure_counts.get(user, 0))
        return packaged.updated_with(earlier, self.recommender.catalogue)


def replay_lists(
    served: pl.DataFrame,
    events: pl.DataFrame,
    histories: PointInTimeHistories,
    site_rules: SiteRules,
    target: Policy,
) -> ReplayedLists:
    """Replay the lists of exploring arms under the logging policy and under a target policy.

    The reward of a list is 1 if an item had a positive event, at the highest position with one.

    Args:
        served: Served lists of the model of `histories`; columns request_id, user_id, timestamp,
            arm, items, scores, propensities.
        events: Events of the store; columns request_id, item_id, event.
        histories: User histories as they were at the time of each list.
        site_rules: Site rules with the experiment.
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
    replayed = [
        (row, *propensities)
        for row in rows
        if (propensities := _replayed_propensities(row, histories, site_rules, target)) is not None
    ]
    if rows and not replayed:
        raise NoExplorationError(
            f"none of {len(rows)} lists could be reconstructed: "
            "are these the arms and rules that drew them?"
        )
    width = max((len(row["items"]) for row, *_ in replayed), default=1)
    positive = _positive_events(events)
    return ReplayedLists(
        LoggedLists(
            [row[c.USER] or f"nobody {row[c.REQUEST]}" for row, *_ in replayed],
            _padded([logging for _, logging, _ in replayed], width, 1.0),
            _padded([target_values for *_, target_values in replayed], width, 1.0),
            _padded([_rewards(row, positive) for row, *_ in replayed], width, 0.0),
        ),
        len(rows) - len(replayed),
    )


def _replayed_propensities(
    row: Mapping[str, Any], histories: PointInTimeHistories, site_rules: SiteRules, target: Policy
) -> tuple[list[float], list[float]] | None:
    """Return the logged propensities of a list and those of the target; None if not replayable."""
    policy = _policy(site_rules.experiment, row["arm"])
    if policy is None:
        return None
    request = Request(
        histories.history_before(row[c.USER], row[c.TIME]), k=len(row["items"]), time=row[c.TIME]
    )

    def follow_list(policy: Policy) -> list[RankedItem]:
        options = ListOptions(
            rules=site_rules.rules, policy=fixed_list_policy(row["items"], policy)
        )
        return histories.recommender.recommend(replace(request, options=options))

    ranked, logged = follow_list(policy), row["propensities"]
    if [item.item_id for item in ranked] != row["items"]:
        return None
    reproduced = [(item.score, item.propensity) for item in ranked]
    if not np.allclose(
        reproduced,
        list(zip(row["scores"], logged, strict=True)),
        rtol=_RELATIVE_TOLERANCE,
        atol=_ABSOLUTE_TOLERANCE,
    ):
        return None
    return logged, [item.propensity for item in follow_list(target)]


def _policy(experiment: Experiment, arm: str) -> Policy | None:
    """Return the present policy of an arm; None if the arm is unknown or does not explore."""
    try:
        policy = experiment.policy(arm)
    except UnknownArmError:
        return None
    return None if isinstance(policy, Greedy) else policy


def _positive_events(events: pl.DataFrame) -> set[tuple[str, str]]:
    """Return request id and item id of each positive event on a served list."""
    positive = events.filter(pl.col(c.EVENT).is_in(list(c.POSITIVE_EVENTS)))
    return set(positive.select(c.REQUEST, c.ITEM).drop_nulls().iter_rows())


def _rewards(row: Mapping[str, Any], positive: set[tuple[str, str]]) -> list[float]:
    """Return the rewards of a list: 1 at the highest position with a positive event, else 0."""
    is_positive = [(row[c.REQUEST], item) in positive for item in row["items"]]
    first = is_positive.index(True) if any(is_positive) else -1
    return [float(position == first) for position in range(len(is_positive))]


def _padded(lists: list[list[float]], width: int, fill: float) -> FloatArray:
    table = np.full((len(lists), width), fill)
    for row, values in enumerate(lists):
        table[row, : len(values)] = values
    return table
