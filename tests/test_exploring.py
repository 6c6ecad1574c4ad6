"""Propensities are the probabilities that they claim to be; arms get their shares."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from compass import NOW
from pydantic import ValidationError
from scipy.stats import norm

from recloop.columns import Event
from recloop.recommender.arms import CHAMPION, Arm, Experiment, UnknownArmError
from recloop.recommender.explore import Counts, EpsilonGreedy, Softmax, Thompson, probability_best
from recloop.recommender.request import Request
from recloop.recommender.rules import Quota, Rules
from recloop.recommender.shape import Shape
from recloop.recommender.state import UserState
from recloop.store.events import EventStore, ServedList, StoredEvent
from recloop.store.outcomes import Outcomes

DRAWS = 4_000
COUNTS = Counts({"both": 100}, {"both": 30}, 1000, 50)
POLICIES = [
    EpsilonGreedy(kind="epsilon-greedy", epsilon=0.4),
    Softmax(kind="softmax", temperature=0.05),
    Thompson(kind="thompson"),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
@pytest.mark.parametrize("shaping", ["plain", "quota", "diversity"])
def test_lists_come_as_often_as_their_propensities_say(payload, policy, shaping) -> None:
    """Every list of two, drawn 4,000 times: its share is the product of its propensities."""
    rules = Rules(quotas=(Quota(category="both", at_least=1),) if shaping == "quota" else ())
    shape = Shape(
        rules=rules, diversity=0.3 * (shaping == "diversity"), policy=policy, counts=COUNTS
    )
    served, seen, claimed = payload.recommender(), Counter(), {}
    for seed in range(DRAWS):
        request = Request(UserState.empty(), k=2, shape=replace(shape, seed=seed))
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


def test_one_seed_is_one_list_and_greedy_is_certain(payload) -> None:
    served, shape = payload.recommender(), Shape(policy=POLICIES[1], seed=3)
    request = Request(UserState.empty(), shape=shape)
    assert served.recommend(request) == served.recommend(request)
    assert {item.propensity for item in served.recommend(Request(UserState.empty()))} == {1.0}


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


def test_outcomes_are_places_shown_and_lists_taken_up(tmp_path) -> None:
    store = EventStore.at(tmp_path / "events.db")
    shown = ServedList("r", "u", NOW, "v1", "a", ["x", "y"], [1, 0], [0.5, 0.5])
    store.append_served([shown, replace(shown, request_id="s")])
    click = StoredEvent("1", "u", "x", NOW, Event.CLICK, request_id="r")
    store.append(
        [
            click,
            replace(click, event_id="2"),  # the same list again
            replace(click, event_id="3", item_id="z"),  # not in it
            replace(click, event_id="4", request_id="unknown"),
        ]
    )
    outcomes = Outcomes(store.engine)
    assert outcomes.follow()
    assert outcomes.follow()  # nothing is counted twice
    assert (outcomes.shown, outcomes.taken) == (Counter(x=2, y=2), Counter(x=1))
    row = store.served().row(0, named=True)
    assert (row["arm"], row["propensities"]) == ("a", [0.5, 0.5])
    store.close()
