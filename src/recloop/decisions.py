"""Decisions of the loop: pure functions of numbers and rules.

They return the decision and the reasons for it, as sentences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recloop.config import ConfigModel

Decision = tuple[bool, list[str]]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class PromotionRules(ConfigModel):
    """Rules of promotion.

    Equal accuracy is enough, because a challenger includes newer users and items.
    """

    margin: float = 0.02
    """Largest distance below zero of the lower end of the interval of the difference in NDCG@10,
    relative to the champion."""
    min_coverage_ratio: float = 0.5
    """Least catalogue coverage of the challenger, relative to the champion's."""
    min_requests: int = 200
    """Fewest test requests on which the models are compared."""


class WarmStartRules(ConfigModel):
    """Rules of continuing the training of an earlier model."""

    generations: int = 5
    """Most models in a row that continue the one before; 0: every model is trained from scratch."""


@dataclass(frozen=True)
class TrainedModel:
    """Registered model with its data, its training settings and the version that it continued."""

    version: str
    data_version: str
    settings: Mapping[str, Any]
    parent: str | None


def choose_warm_start(
    ancestors: Sequence[TrainedModel],
    data_version: str,
    settings: Mapping[str, Any],
    rules: WarmStartRules,
) -> str | None:
    """Return the version whose training is continued, None to train from scratch.

    If the champion was trained on the same data, the new model starts from the champion's parent:
    the training then equals the champion's, and DVC reuses its result.

    Args:
        ancestors: The champion, then its parent, the parent of that, and so on.
        data_version: DVC's hash of the new snapshot.
        settings: Training settings of the new model; a model with others is not continued.
        rules: Rules of continuing.
    """
    if not ancestors or not rules.generations or ancestors[0].settings != settings:
        return None
    champion = ancestors[0]
    if champion.data_version == data_version:
        return champion.parent
    return champion.version if len(ancestors) <= rules.generations else None


@dataclass(frozen=True)
class ModelComparison:
    """NDCG@10 of challenger and champion on the same later requests, and their paired difference.

    `first`: no champion can be loaded, so a baseline takes its place and one request is enough.
    `problem`: why the champion cannot be loaded; None if it can, or if there is none.
    """

    champion_version: str
    requests: int
    challenger: Interval
    champion: Interval
    difference: Interval
    challenger_coverage: float
    champion_coverage: float
    first: bool = False
    problem: str | None = None


def should_promote(comparison: ModelComparison, rules: PromotionRules) -> Decision:
    """Decide whether the challenger is promoted, with reasons."""
    needed = 1 if comparison.first else rules.min_requests
    problem = [comparison.problem] if comparison.problem else []
    if comparison.requests < needed:
        few = f"only {comparison.requests} requests to compare on, {needed} are needed"
        return False, [*problem, few]
    floor = -rules.margin * comparison.champion.value
    accurate = comparison.difference.low >= floor
    min_coverage = rules.min_coverage_ratio * comparison.champion_coverage
    covers = comparison.challenger_coverage >= min_coverage
    return accurate and covers, [
        *problem,
        f"NDCG@10 {comparison.challenger} against {comparison.champion}"
        f" of {comparison.champion_version} on {comparison.requests} requests",
        f"difference {comparison.difference}: "
        + ("not worse than" if accurate else "may be worse than")
        + f" the margin of {floor:.4f}",
        f"coverage@10 {comparison.challenger_coverage:.3f}, "
        + ("at least" if covers else "below")
        + f" {min_coverage:.3f}",
    ]


class RetrainRules(ConfigModel):
    """Rules of requesting a retrain.

    The thresholds of drift are above the values measured on data without drift (docs/log.md).
    """

    min_new_interactions: int = 500
    """Fewest new interactions for a retrain; with fewer, drift is not measured."""
    new_share: float = 0.1
    """New interactions, relative to those that the model was trained on, that are enough for a
    retrain."""
    column_psi: float = 0.25
    """Population stability index (PSI) of a column, above which it has drifted."""
    embedding_auc: float = 0.65
    """AUC of a classifier of new against old interactions by the texts of their items, above which
    texts have drifted."""
    score_psi: float = 0.5
    """Population stability index of the scores, above which they have drifted."""
    max_age_days: float = 30.0
    """Age of the model in days, above which a retrain is requested."""


@dataclass(frozen=True)
class DriftSummary:
    """Difference between new interactions and those that the newest model was trained on."""

    new_interactions: int
    trained_on: int
    age_days: float
    column_psi: dict[str, float]
    embedding_auc: float | None
    score_psi: float | None


def should_retrain(drift: DriftSummary, rules: RetrainRules) -> Decision:
    """Decide whether to request a retrain, with reasons.

    With fewer than `min_new_interactions` new interactions, the answer is always no.
    """
    if drift.new_interactions < rules.min_new_interactions:
        return False, [
            f"{drift.new_interactions} new interactions,"
            f" fewer than the {rules.min_new_interactions} that a retrain needs"
        ]
    reasons = [
        f"{name} drifted: PSI {psi:.3f} above {rules.column_psi}"
        for name, psi in drift.column_psi.items()
        if psi > rules.column_psi
    ]
    share = drift.new_interactions / max(drift.trained_on, 1)
    if share >= rules.new_share:
        reasons.append(
            f"new interactions are {share:.1%} of the snapshot, at least {rules.new_share:.0%}"
        )
    if drift.embedding_auc is not None and drift.embedding_auc > rules.embedding_auc:
        reasons.append(
            f"item texts drifted: AUC {drift.embedding_auc:.3f} above {rules.embedding_auc}"
        )
    if drift.score_psi is not None and drift.score_psi > rules.score_psi:
        reasons.append(f"scores drifted: PSI {drift.score_psi:.3f} above {rules.score_psi}")
    if drift.age_days > rules.max_age_days:
        reasons.append(
            f"the model is {drift.age_days:.0f} days old, above {rules.max_age_days:.0f}"
        )
    return bool(reasons), reasons or ["nothing drifted beyond its threshold"]


class RollbackRules(ConfigModel):
    """Rules of rolling back to the previous version."""

    min_lists: int = 500
    """Fewest served lists of each of the two versions."""
    z: float = 2.58
    """Smallest z statistic of the difference in click-through."""
    min_drop: float = 0.1
    """Smallest relative loss of click-through."""


@dataclass(frozen=True)
class VersionClicks:
    """Lists served by one model version, and how many of them were clicked."""

    version: str
    lists: int
    clicked: int

    @property
    def rate(self) -> float:
        """Click-through rate per list."""
        return self.clicked / self.lists if self.lists else 0.0


def should_roll_back(
    champion: VersionClicks, previous: VersionClicks | None, rules: RollbackRules
) -> Decision:
    """Decide by a two-proportion z-test whether to promote the previous version again."""
    if previous is None:
        return False, ["there is no previous version to return to"]
    if min(champion.lists, previous.lists) < rules.min_lists:
        return False, [
            f"fewer than {rules.min_lists} lists for {champion.version} or {previous.version}"
        ]
    pooled = (champion.clicked + previous.clicked) / (champion.lists + previous.lists)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / champion.lists + 1 / previous.lists))
    z = (previous.rate - champion.rate) / spread if spread else 0.0
    worse = z > rules.z and champion.rate < previous.rate * (1 - rules.min_drop)
    return worse, [
        f"click-through {champion.rate:.4f} of {champion.version} against {previous.rate:.4f}"
        f" of {previous.version}, z = {z:.2f}"
    ]
