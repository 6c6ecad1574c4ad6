"""Exploration: propensities equal the shares of lists, and arms get their shares of users."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import norm

from recloop.columns import Event
from recloop.recommender.history import UserHistory
from recloop.recommender.lists.boosts_and_quotas import ListRules
from recloop.recommender.lists.experiments import CHAMPION, Arm, Experiment, UnknownArmError
from recloop.recommender.lists.exploration import (
    EpsilonGreedy,
    ItemCounts,
    Policy,
    Softmax,
    Thompson,
    probability_best,
)
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.request import Request
from recloop.schemas.rules import Quota
from recloop.store.click_counts import ClickCounts
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from tests.support.toy_recommender import NOW

DRAWS = 4_000
COUNTS = ItemCounts({"both": 100}, {"both": 30}, 1000, 50)
POLICIES: list[Policy] = [
    EpsilonGreedy(kind="epsilon-greedy", epsilon=0.4),
    Softmax(kind="softmax", temperature=0.05),
    Thompson(kind="thompson"),
]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
@pytest.mark.parametrize("shaping", ["plain", "quota", "diversity"])
def test_the_share_of_each_list_equals_its_propensity(payload, policy, shaping) -> None:
    """The share of each list of two in 4,000 draws is the product of its propensities."""
    rules = ListRules(quotas=(Quota(category="both", at_least=1),) if shaping == "quota" else ())
    shape = ListOptions(
        rules=rules, diversity=0.3 * (shaping == "diversity"), policy=policy, counts=COUNTS
    )
    served, seen = payload.recommender(), Counter[tuple[str, ...]]()
    claimed: dict[tuple[str, ...], float] = {}
    for seed in range(DRAWS):
        request = Request(UserHistory.empty(), k=2, options=replace(shape, seed=seed))
        found = served.recommend(request)
        drawn = tuple(item.item_id for item in found)
        seen[drawn] += 1
        probability = float(np.prod([item.propensity for item in found]))
        assert claimed.setdefault(drawn, probability) == pytest.approx(probability)
    assert sum(claimed.values()) == pytest.approx(1, abs=0.02)
    for drawn, probability in claimed.items():
        error = np.sqrt(probability * (1 - probability) / DRAWS)
        assert abs(seen[drawn] / DRAWS - probability) < 4.5 * error + 1 / DRAWS


def test_the_first_of_two_gaussians_has_a_closed_form() -> None:
    for deviations in ((1.0, 1.0), (1.0, 0.01), (0.01, 1.0)):
        means = np.array([0.3, 0.0])
        exact = norm.cdf(0.3 / np.hypot(*deviations))
        assert probability_best(0, means, np.array(deviations)) == pytest.approx(exact, abs=2e-3)


def test_a_seed_determines_the_list_and_greedy_has_propensity_one(payload) -> None:
    served = payload.recommender()

    def ids(seed: int) -> tuple[str, ...]:
        options = ListOptions(policy=POLICIES[1], seed=seed)
        found = served.recommend(Request(UserHistory.empty(), options=options))
        return tuple(item.item_id for item in found)

    lists = [ids(seed) for seed in range(20)]
    assert [ids(seed) for seed in range(20)] == lists
    assert len(set(lists)) > 1
    assert {item.propensity for item in served.recommend(Request(UserHistory.empty()))} == {1.0}


def test_arms_get_their_shares_and_users_keep_their_arm() -> None:
    arms = {"a": Arm(share=0.2), "b": Arm(share=0.3)}
    experiment = Experiment(key="x", arms=arms)
    users = [f"u{number}" for number in range(10_000)]
    found = Counter(map(experiment.assign, users))
    assert found["a"] / 10_000 == pytest.approx(0.2, abs=0.02)
    assert found[CHAMPION] / 10_000 == pytest.approx(0.5, abs=0.02)
    assert Counter(map(Experiment(key="x", arms=arms).assign, users)) == found
    other = Experiment(key="y", arms=arms)
    both = sum(experiment.assign(user) == other.assign(user) == "a" for user in users)
    assert both / 10_000 == pytest.approx(0.04, abs=0.01)  # independent draws
    with pytest.raises(UnknownArmError):
        experiment.policy("c")
    with pytest.raises(ValidationError):
        Experiment(arms={"a": Arm(share=0.6), "b": Arm(share=0.6)})


def test_click_counts_are_impressions_and_clicked_lists(tmp_path) -> None:
    store = EventStore.at(tmp_path / "events.db")
    shown = ServedList("r", "u", NOW, "v1", "a", ["x", "y"], [1, 0], [0.5, 0.5])
    store.append_served([shown, replace(shown, request_id="s")])
    click = StoredEvent("1", "u", "x", NOW, Event.CLICK, request_id="r")
    store.append(
        [
            click,
            replace(click, event_id="2"),  # the same list and item
            replace(click, event_id="3", item_id="z"),  # an item that is not in the list
            replace(click, event_id="4", request_id="unknown"),
        ]
    )
    outcomes = ClickCounts(store.engine)
    assert outcomes.update()
    assert outcomes.update()  # rows are not counted again
    assert (outcomes.shown, outcomes.clicked) == (Counter(x=2, y=2), Counter(x=1))
    row = store.served().row(0, named=True)
    assert (row["arm"], row["propensities"]) == ("a", [0.5, 0.5])
    store.close()
