"""Tests of off-policy estimates: by hand, simulated, and from the lists of a real service."""

from dataclasses import replace
from itertools import permutations
from math import prod

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from typer.testing import CliRunner

from recloop.cli.main import app as cli
from recloop.evaluation.list_replay import (
    CountsUnavailableError,
    PointInTimeHistories,
    replay_lists,
)
from recloop.evaluation.off_policy import Logged, NoExplorationError, estimate, on_policy
from recloop.recommender.history import UserHistory
from recloop.recommender.lists.exploration import EpsilonGreedy, Greedy, Policy, Softmax, Thompson
from recloop.recommender.lists.fixed_list_policy import fixed_list_policy
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.request import Request
from recloop.recommender.site_rules import SiteRules
from recloop.registry.manifest import Lineage
from recloop.registry.versions import Registry
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.serving.execution.deadline import DeadlineConfig
from recloop.settings import read_settings
from recloop.store.event_store import EventStore

HALF = np.full((3, 2), 0.5)
# Places that the target would draw twice as often, never, half as often, as they were drawn.
BY_HAND = Logged(
    ["a", "b", "b"],
    HALF,
    target=np.array([[1.0, 0.5], [0.0, 0.5], [0.5, 0.25]]),
    rewards=np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
)


def test_by_hand_with_what_depends_on_the_places_above() -> None:
    """The weights are (2, 2), (0, 0), (1, ½); clicks: one at place 1, two at place 2."""
    found = estimate(BY_HAND, "place", clip=1.0)
    assert found.ips.value == pytest.approx((2 + 0 + 1 / 2) / 3)
    assert found.clipped.value == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert found.snips.value == pytest.approx(2 / 3 + (1 / 2) / (5 / 2))
    assert found.mean_weight == pytest.approx(2.5 / 3)
    assert found.effective == pytest.approx((3**2 / 5 + 2 * 2.5**2 / 4.25) / 3)


def test_by_hand_with_what_depends_on_the_whole_list() -> None:
    """The weights are 2, 0, ½ at every place."""
    found = estimate(BY_HAND, "list", clip=1.0)
    assert found.ips.value == pytest.approx(2.5 / 3)
    assert found.snips.value == pytest.approx(1.0)
    assert found.effective == pytest.approx(2.5**2 / 4.25)


@pytest.mark.parametrize("form", ["list", "place"])
def test_the_estimate_for_the_logging_policy_is_the_click_rate(form) -> None:
    same = replace(BY_HAND, target=HALF)
    found, plain = estimate(same, form), on_policy(same)
    assert plain.value == 1.0
    assert found.ips == found.snips == found.clipped == plain
    assert (found.effective, found.mean_weight) == (3.0, 1.0)


def test_intervals_are_over_users() -> None:
    """Two users with a thousand equal lists each tell nothing about a third user."""
    mine = np.repeat([[1.0], [0.0]], 1_000, axis=0)
    half = np.full((2_000, 1), 0.5)
    found = on_policy(Logged(["a"] * 1_000 + ["b"] * 1_000, half, half, mine))
    assert (found.low, found.value, found.high) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize("lists", [0, 3])
def test_lists_without_exploration_have_no_estimate(lists) -> None:
    ones = np.ones((lists, 2))
    with pytest.raises(NoExplorationError, match="has to serve first"):
        estimate(Logged(["u"] * lists, ones, ones, ones), "place")


@pytest.mark.parametrize(
    "change",
    [{"logged": HALF * 0}, {"target": HALF * 3}, {"users": ["a"]}, {"rewards": HALF[:2]}],
)
def test_an_invalid_log_is_refused(change) -> None:
    with pytest.raises(ValueError, match=r"propensit"):
        replace(BY_HAND, **change)


def simulated(users: int, seed: int) -> tuple[Logged, float]:
    """Lists of two out of four, drawn by softmax of temperature 1; asked about: temperature ½.

    People read downwards and stop at what they take; the true worth is a sum over all twelve lists.
    """
    scores, likes = np.array([1.0, 0.5, 0.0, -0.5]), np.array([0.1, 0.2, 0.4, 0.3])

    def odds(drawn: tuple[int, ...], temperature: float) -> list[float]:
        left = [place for place in range(4) if place != drawn[0]]
        first = softmax(scores / temperature)[drawn[0]]
        return [first, softmax(scores[left] / temperature)[left.index(drawn[1])]]

    lists = list(permutations(range(4), 2))
    worth = sum(prod(odds(drawn, 0.5)) * (1 - prod(1 - likes[list(drawn)])) for drawn in lists)
    rng, shares = np.random.default_rng(seed), [prod(odds(drawn, 1.0)) for drawn in lists]
    shown = [lists[row] for row in rng.choice(len(lists), 5 * users, p=shares)]
    taken = rng.random((len(shown), 2)) < likes[np.array(shown)]
    taken[:, 1] &= ~taken[:, 0]
    log, asked = (np.array([odds(drawn, t) for drawn in shown]) for t in (1.0, 0.5))
    names = [f"u{row // 5}" for row in range(len(shown))]
    return Logged(names, log, asked, taken.astype(np.float64)), worth


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_of_a_simulation_lies_within_the_intervals(seed) -> None:
    logged, worth = simulated(users=1_000, seed=seed)
    for form in ("list", "place"):
        found = estimate(logged, form, draws=300)
        for interval in (found.ips, found.snips):
            assert interval.low < worth < interval.high
            assert interval.high - interval.low < 0.06
        assert found.mean_weight == pytest.approx(1, abs=0.05)
        assert 1_000 < found.effective < 5_000
    plain = on_policy(logged, draws=300)
    assert not plain.low < worth < plain.high  # so that the weights are what does it


@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1)
)
def test_snips_stays_among_the_rewards_and_clipping_only_lowers(rows) -> None:
    log, target, rewards = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    logged = Logged([str(row) for row in range(len(rows))], log * 0.99, target, rewards)
    found = estimate(logged, "place", draws=10)
    assert -1e-9 <= found.snips.value <= 1 + 1e-9
    assert found.clipped.value <= found.ips.value + 1e-9


POLICIES: list[Policy] = [
    Greedy(),
    EpsilonGreedy(kind="epsilon-greedy", epsilon=0.4),
    Softmax(kind="softmax", temperature=0.05),
    Thompson(kind="thompson"),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
def test_a_list_that_is_followed_has_the_propensities_with_which_it_was_drawn(
    payload, policy
) -> None:
    served = payload.recommender()
    for seed in range(20):
        request = Request(UserHistory.empty(), k=3, options=ListOptions(policy=policy, seed=seed))
        drawn = served.recommend(request)
        ids = [item.item_id for item in drawn]
        again = served.recommend(
            replace(request, options=ListOptions(policy=fixed_list_policy(ids, policy)))
        )
        assert [item.item_id for item in again] == ids
        assert [item.propensity for item in again] == [item.propensity for item in drawn]


def test_what_could_not_come_next_has_no_propensity(payload) -> None:
    asked = ListOptions(policy=fixed_list_policy(["east1", "nothing", "both"], POLICIES[2]))
    found = payload.recommender().recommend(Request(UserHistory.empty(), k=3, options=asked))
    assert found[0].propensity > 0
    assert [item.propensity for item in found[1:]] == [0.0, 0.0]


EXPERIMENT = """
experiment:
  arms:
    explore: {share: 1.0, policy: {kind: softmax, temperature: 0.05}}
    bolder: {share: 0.0, policy: {kind: softmax, temperature: 0.2}}
    counted: {share: 0.0, policy: {kind: thompson}}
"""
LINEAGE = Lineage(
    git_commit="", git_ref="", data_version="", model_hash="", validation={}, metrics={}, params={}
)
LIKES = {"east1": 0.1, "east2": 0.2, "north1": 0.3, "north2": 0.4, "both": 0.5}


@pytest.fixture
def service(home, payload, tmp_path, monkeypatch):
    """Return an engine whose champion explores in all lists."""
    tmp_path.joinpath("policy.yaml").write_text(EXPERIMENT)
    monkeypatch.setenv("RECLOOP_POLICY", str(tmp_path / "policy.yaml"))
    model, reference = tmp_path / "model", tmp_path / "reference"
    model.mkdir()
    reference.mkdir()
    payload.save(model)
    registry = Registry(home)
    registry.register("v1", model, reference, LINEAGE)
    registry.promote("v1", [])
    policy, patient = SiteRules.from_file(read_settings().policy), DeadlineConfig(seconds=None)
    engine = Engine(registry, home.champion, EventStore.of(home), 60, policy, patient)
    engine.start()
    yield engine
    engine.stop()


def live(engine: Engine, people: int) -> None:
    """Two users ask twice for two films and click the first one they like; one list has a query."""
    client, rng = TestClient(create_app(engine)), np.random.default_rng(1)
    for number in range(people):
        for time in range(2):
            at = f"2024-06-0{time + 1}T12:00:00Z"
            asked = {"user_id": f"u{number}", "k": 2, "context": {"timestamp": at}}
            answer = client.post("/v1/recommend", json=asked).json()
            shown = [item["item_id"] for item in answer["items"]]
            taken = next((item for item in shown if rng.random() < LIKES[item]), None)
            if taken:
                event = {"event_id": f"{number} {time}", "user_id": f"u{number}", "event": "click"}
                event |= {"item_id": taken, "request_id": answer["request_id"], "timestamp": at}
                client.post("/v1/events", json={"events": [event]}).raise_for_status()
    client.post("/v1/recommend", json={"user_id": "u0", "k": 2, "query": "north"})
    engine.stop()


def test_lists_of_a_service_are_replayed(service, home) -> None:
    live(service, 40)
    store, house = EventStore.of(home), SiteRules.from_file(read_settings().policy)
    served, events = store.served(), store.events()
    memory = PointInTimeHistories.from_events(Registry(home).load("v1"), events, {})
    same = replay_lists(served, events, memory, house, house.experiment.policy("explore"))
    assert same.left_out == 1
    assert len(same.logged.users) == 80
    np.testing.assert_allclose(same.logged.target, same.logged.logged, rtol=1e-3)
    clicked = events["request_id"].n_unique() / 80
    assert on_policy(same.logged).value == pytest.approx(clicked)
    bolder = replay_lists(served, events, memory, house, house.experiment.policy("bolder"))
    assert estimate(bolder.logged, "list").mean_weight == pytest.approx(1, abs=0.35)
    with pytest.raises(CountsUnavailableError, match="let the arm serve"):
        replay_lists(served, events, memory, house, house.experiment.policy("counted"))
    other = SiteRules.model_validate(
        {"experiment": {"arms": {"explore": {"share": 1, "policy": {"kind": "thompson"}}}}}
    )
    with pytest.raises(NoExplorationError, match="none of 81 lists could be reconstructed"):
        replay_lists(served, events, memory, other, Greedy())
    store.close()


def test_the_command_estimates_the_reward_of_an_arm(service) -> None:
    run = CliRunner().invoke
    refused = run(cli, ["off-policy", "--arm", "bolder"])
    assert refused.exit_code == 1
    assert "has to serve first" in refused.stderr
    live(service, 20)
    said = run(cli, ["off-policy", "--arm", "bolder"], env={"COLUMNS": "200"}).stdout
    assert "v1: 40 lists of arms that explore; 1 could not be reconstructed" in said
    assert "the whole list" in said
    assert "no arm 'nobody'" in run(cli, ["off-policy", "--arm", "nobody"]).stderr
