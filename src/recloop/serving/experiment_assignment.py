"""Assignment of requests to the arms of the experiment, and the options of their lists."""

from recloop.recommender.lists.boosts_and_quotas import ListRules
from recloop.recommender.lists.experiments import Experiment
from recloop.recommender.lists.exploration import NO_COUNTS, ItemCounts, Policy, Thompson
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.site_rules import SiteRules
from recloop.schemas.recommend import RecommendRequest
from recloop.store.click_counts import ClickCounts


class ExperimentAssigner:
    """Chooses the arm and the list options of each request.

    Thread-safe, except that only one thread may call `refresh_counts`.

    Args:
        site_rules: Rules of all lists, and the experiment.
        outcomes: Counts of shown and clicked items, for Thompson sampling.
    """

    def __init__(self, site_rules: SiteRules, outcomes: ClickCounts) -> None:
        self._rules: ListRules = site_rules.rules
        self._experiment: Experiment = site_rules.experiment
        self._outcomes = outcomes
        self._counting = any(
            isinstance(arm.policy, Thompson) for arm in site_rules.experiment.arms.values()
        )

    def assign(self, request: RecommendRequest, request_id: str) -> tuple[str, ListOptions]:
        """Return the arm of a request and the options of its list.

        A user always gets the same arm. A request without a user is assigned by its id, which is
        also the seed of the list's random choices.

        Raises:
            UnknownArmError: The experiment does not have the arm that the request names.
        """
        arm = request.arm or self._experiment.assign(request.user_id or request_id)
        policy = self._experiment.policy(arm)
        rules = ListRules(
            boosts=self._rules.boosts + request.boosts, quotas=self._rules.quotas + request.quotas
        )
        return arm, ListOptions(
            rules=rules,
            diversity=request.diversity,
            calibration=request.calibration,
            policy=policy,
            counts=self._counts(policy),
            seed=int(request_id, 16),
        )

    def refresh_counts(self) -> None:
        """Count new outcomes, if a policy of the experiment uses them.

        Raises:
            SQLAlchemyError: The store is not available.
        """
        if self._counting:
            self._outcomes.update()

    def _counts(self, policy: Policy) -> ItemCounts:
        if not isinstance(policy, Thompson):
            return NO_COUNTS
        outcomes = self._outcomes
        return ItemCounts(
            outcomes.shown, outcomes.clicked, outcomes.total_shown, outcomes.total_clicked
        )
