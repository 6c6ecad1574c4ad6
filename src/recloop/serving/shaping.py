"""The shape of each list: what the house wants, what was asked for, and the arm that it belongs to."""

from recloop.recommender.arms import Experiment
from recloop.recommender.explore import NO_COUNTS, Counts, Policy, Thompson
from recloop.recommender.rules import Rules
from recloop.recommender.shape import Shape
from recloop.serving.api import RecommendRequest
from recloop.serving.policy import ServingPolicy
from recloop.store.outcomes import Outcomes


class Shaping:
    """Thread-safe; `follow` is for one thread."""

    def __init__(self, policy: ServingPolicy, outcomes: Outcomes) -> None:
        self._rules: Rules = policy.rules
        self._experiment: Experiment = policy.experiment
        self._outcomes = outcomes
        self._counting = any(
            isinstance(arm.policy, Thompson) for arm in policy.experiment.arms.values()
        )

    def of(self, asked: RecommendRequest, request_id: str) -> tuple[str, Shape]:
        """The arm and the shape of a list. The request's id is its seed. Raises UnknownArmError."""
        arm = asked.arm or self._experiment.assign(asked.user_id or request_id)
        policy = self._experiment.policy(arm)
        rules = Rules(
            boosts=self._rules.boosts + asked.boosts, quotas=self._rules.quotas + asked.quotas
        )
        return arm, Shape(
            rules=rules,
            diversity=asked.diversity,
            calibration=asked.calibration,
            policy=policy,
            counts=self._counts(policy),
            seed=int(request_id, 16),
        )

    def follow(self) -> None:
        """Count outcomes on, where a policy looks at them. Raises SQLAlchemyError."""
        if self._counting:
            self._outcomes.follow()

    def _counts(self, policy: Policy) -> Counts:
        if not isinstance(policy, Thompson):
            return NO_COUNTS
        outcomes = self._outcomes
        return Counts(outcomes.shown, outcomes.taken, outcomes.all_shown, outcomes.all_taken)
