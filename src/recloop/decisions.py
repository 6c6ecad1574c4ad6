"""The loop's decisions. Pure: numbers and rules in, `(decision, reasons)` out, nothing else known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recloop.config import Settings

Decision = tuple[bool, list[str]]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class PromotionRules(Settings):
    """How much worse a challenger may be at most, relative to the champion, and how narrow its lists.

    A challenger knows newer users and items, so that equal accuracy is enough; `margin` is how far
    the lower end of the difference's interval may lie below zero.
    """

    margin: float = 0.02
    min_coverage_ratio: float = 0.5
    min_requests: int = 200


class WarmStartRules(Settings):
    """How many models in a row may continue the one before; 0: every model starts from scratch."""

    generations: int = 5


@dataclass(frozen=True)
class Ancestor:
    """A registered model: what it was trained on and with, and the version that it continued."""

    version: str
    data_version: str
    settings: Mapping[str, Any]
    parent: str | None


def choose_start(
    ancestors: Sequence[Ancestor],
    data_version: str,
    settings: Mapping[str, Any],
    rules: WarmStartRules,
) -> str | None:
    """The version to continue from, None for scratch. The champion comes first, its parents follow.

    A champion of these very data is not improved by continuing from itself: its own start is taken
    again, so that what is asked for twice is done once.
    """
    if not ancestors or not rules.generations or ancestors[0].settings != settings:
        return None
    champion = ancestors[0]
    if champion.data_version == data_version:
        return champion.parent
    return champion.version if len(ancestors) <= rules.generations else None


@dataclass(frozen=True)
class Rivalry:
    """Challenger and rival on the same later requests, NDCG@10, the difference paired.

    `first`: there is no champion yet, and the rival is a baseline; then few requests are enough.
    """

    rival: str
    requests: int
    challenger: Interval
    champion: Interval
    difference: Interval
    challenger_coverage: float
    champion_coverage: float
    first: bool = False


def should_promote(rivalry: Rivalry, rules: PromotionRules) -> Decision:
    """Whether the challenger takes over from its rival (the champion, or popularity at the start)."""
    needed = 1 if rivalry.first else rules.min_requests
    if rivalry.requests < needed:
        return False, [f"only {rivalry.requests} requests to compare on, {needed} are needed"]
    floor = -rules.margin * rivalry.champion.value
    accurate = rivalry.difference.low >= floor
    narrow = rules.min_coverage_ratio * rivalry.champion_coverage
    broad = rivalry.challenger_coverage >= narrow
    return accurate and broad, [
        f"NDCG@10 {rivalry.challenger} against {rivalry.champion} of {rivalry.rival}"
        f" on {rivalry.requests} requests",
        f"difference {rivalry.difference}: "
        + ("not worse than" if accurate else "may be worse than")
        + f" the margin of {floor:.4f}",
        f"coverage@10 {rivalry.challenger_coverage:.3f}, "
        + ("at least" if broad else "below")
        + f" {narrow:.3f}",
    ]


class RetrainRules(Settings):
    """Thresholds; those of drift were set above what data without drift shows (docs/log.md)."""

    min_new_interactions: int = 500
    new_share: float = 0.1
    column_psi: float = 0.25
    embedding_auc: float = 0.65
    score_psi: float = 0.5
    max_age_days: float = 30.0


@dataclass(frozen=True)
class Condition:
    """How the world differs from what the newest model was trained on."""

    new_interactions: int
    trained_on: int
    age_days: float
    column_psi: dict[str, float]
    embedding_auc: float | None
    score_psi: float | None


def should_retrain(condition: Condition, rules: RetrainRules) -> Decision:
    """Whether a new model is worth its training. Too little new data is a no, whatever drifts."""
    if condition.new_interactions < rules.min_new_interactions:
        return False, [
            f"{condition.new_interactions} new interactions,"
            f" fewer than the {rules.min_new_interactions} that make a difference"
        ]
    reasons = [
        f"{name} drifted: PSI {psi:.3f} above {rules.column_psi}"
        for name, psi in condition.column_psi.items()
        if psi > rules.column_psi
    ]
    share = condition.new_interactions / max(condition.trained_on, 1)
    if share >= rules.new_share:
        reasons.append(
            f"new interactions are {share:.1%} of the snapshot, at least {rules.new_share:.0%}"
        )
    if condition.embedding_auc is not None and condition.embedding_auc > rules.embedding_auc:
        reasons.append(
            f"item texts drifted: AUC {condition.embedding_auc:.3f} above {rules.embedding_auc}"
        )
    if condition.score_psi is not None and condition.score_psi > rules.score_psi:
        reasons.append(f"scores drifted: PSI {condition.score_psi:.3f} above {rules.score_psi}")
    if condition.age_days > rules.max_age_days:
        reasons.append(
            f"the model is {condition.age_days:.0f} days old, above {rules.max_age_days:.0f}"
        )
    return bool(reasons), reasons or ["nothing drifted beyond its threshold"]


class RollbackRules(Settings):
    """How sure one must be that the new champion is clicked less: lists per side, and a z value."""

    min_lists: int = 500
    z: float = 2.58
    min_drop: float = 0.1


@dataclass(frozen=True)
class Clicks:
    """Lists served by one model version, and how many of them were clicked."""

    version: str
    lists: int
    clicked: int

    @property
    def rate(self) -> float:
        """Click-through rate per list."""
        return self.clicked / self.lists if self.lists else 0.0


def should_roll_back(champion: Clicks, previous: Clicks | None, rules: RollbackRules) -> Decision:
    """Whether the previous version returns: a two-proportion z test on click-through rates."""
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
