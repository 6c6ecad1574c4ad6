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
from recloop.evaluation.off_policy import LoggedLists, NoExplorationError, estimate, on_policy
from recloop.recommender.history import UserHistory
from recloop.recommender.lists.exploration import EpsilonGreedy, Greedy, Policy, Softmax, Thompson
from recloop.recommender.lists.fixed_list_policy import fixed_list_policy
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.request import Request
from recloop.recommender.site_rules import SiteRules
from recloop.registry.versions import Registry
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.serving.execution.deadline import DeadlineConfig
from recloop.settings import read_settings
from recloop.store.event_store import EventStore
from tests.support import tiny_model

HALF = np.full((3, 2), 0.5)
# The target draws these positions twice as often, never and half as often as the logging policy.
BY_HAND = LoggedLists(
    ["a", "b", "b"],
    HALF,
    target_propensities=np.array([[1.0, 0.5], [0.0, 0.5], [0.5, 0.25]]),
    rewards=np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
)


def test_by_hand_if_a_reward_depends_on_the_positions_above() -> None:
    """The weights are (2, 2), (0, 0), (1, ½); clicks: one at position 1, two at position 2."""
    estimated = estimate(BY_HAND, "position", clip=1.0)
    assert estimated.ips.value == pytest.approx((2 + 0 + 1 / 2) / 3)
    assert estimated.clipped.value == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert estimated.snips.value == pytest.approx(2 / 3 + (1 / 2) / (5 / 2))
    assert estimated.mean_weight == pytest.approx(2.5 / 3)
    assert estimated.effective_sample_size == pytest.approx((3**2 / 5 + 2 * 2.5**2 / 4.25) / 3)


def test_by_hand_if_a_reward_depends_on_the_whole_list() -> None:
    """The weights are 2, 0, ½ at every position."""
    estimated = estimate(BY_HAND, "list", clip=1.0)
    assert estimated.ips.value == pytest.approx(2.5 / 3)
    assert estimated.snips.value == pytest.approx(1.0)
    assert estimated.effective_sample_size == pytest.approx(2.5**2 / 4.25)


@pytest.mark.parametrize("weighting", ["list", "position"])
def test_the_estimate_for_the_logging_policy_is_the_click_rate(weighting) -> None:
    same = replace(BY_HAND, target_propensities=HALF)
    estimated, plain = estimate(same, weighting), on_policy(same)
    assert plain.value == 1.0
    assert estimated.ips == estimated.snips == estimated.clipped == plain
    assert (estimated.effective_sample_size, estimated.mean_weight) == (3.0, 1.0)


def test_intervals_are_over_users() -> None:
    """A thousand equal lists of each of two users count as two observations."""
    rewards = np.repeat([[1.0], [0.0]], 1_000, axis=0)
    half = np.full((2_000, 1), 0.5)
    interval = on_policy(LoggedLists(["a"] * 1_000 + ["b"] * 1_000, half, half, rewards))
    assert (interval.low, interval.value, interval.high) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize("lists", [0, 3])
def test_lists_without_exploration_have_no_estimate(lists) -> None:
    ones = np.ones((lists, 2))
    with pytest.raises(NoExplorationError, match="has to serve first"):
        estimate(LoggedLists(["u"] * lists, ones, ones, ones), "position")


@pytest.mark.parametrize(
    "change",
    [
        {"logging_propensities": HALF * 0},
        {"target_propensities": HALF * 3},
        {"users": ["a"]},
        {"rewards": HALF[:2]},
    ],
)
def test_an_invalid_log_is_refused(change) -> None:
    with pytest.raises(ValueError, match=r"propensit"):
        replace(BY_HAND, **change)


def simulated(users: int, seed: int) -> tuple[LoggedLists, float]:
    """Return lists of two of four items, drawn by softmax at temperature 1, and the true reward.

    The target policy has temperature ½. Users read downwards and stop at their first click, so the
    true reward is a sum over all twelve lists.
    """
    scores, click_rates = np.array([1.0, 0.5, 0.0, -0.5]), np.array([0.1, 0.2, 0.4, 0.3])

    def propensities(ranking: tuple[int, ...], temperature: float) -> list[float]:
        left = [position for position in range(4) if position != ranking[0]]
        first = softmax(scores / temperature)[ranking[0]]
        return [first, softmax(scores[left] / temperature)[left.index(ranking[1])]]

    lists = list(permutations(range(4), 2))
    true_reward = sum(
        prod(propensities(ranking, 0.5)) * (1 - prod(1 - click_rates[list(ranking)]))
        for ranking in lists
    )
    rng = np.random.default_rng(seed)
    shares = [prod(propensities(ranking, 1.0)) for ranking in lists]
    shown = [lists[row] for row in rng.choice(len(lists), 5 * users, p=shares)]
    clicks = rng.random((len(shown), 2)) < click_rates[np.array(shown)]
    clicks[:, 1] &= ~clicks[:, 0]
    logging, target = (
        np.array([propensities(ranking, t) for ranking in shown]) for t in (1.0, 0.5)
    )
    names = [f"u{row // 5}" for row in range(len(shown))]
    return LoggedLists(names, logging, target, clicks.astype(np.float64)), true_reward


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_of_a_simulation_lies_within_the_intervals(seed) -> None:
    lists, true_reward = simulated(users=1_000, seed=seed)
    for weighting in ("list", "position"):
        estimated = estimate(lists, weighting, draws=300)
        for interval in (estimated.ips, estimated.snips):
            assert interval.low < true_reward < interval.high
            assert interval.high - interval.low < 0.06
        assert estimated.mean_weight == pytest.approx(1, abs=0.05)
        assert 1_000 < estimated.effective_sample_size < 5_000
    plain = on_policy(lists, draws=300)
    assert not plain.low < true_reward < plain.high  # without weights the estimate is wrong


@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1)
)
def test_snips_stays_among_the_rewards_and_clipping_only_lowers(rows) -> None:
    logging, target, rewards = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    lists = LoggedLists([str(row) for row in range(len(rows))], logging * 0.99, target, rewards)
    estimated = estimate(lists, "position", draws=10)
    assert -1e-9 <= estimated.snips.value <= 1 + 1e-9
    assert estimated.clipped.value <= estimated.ips.value + 1e-9


POLICIES: list[Policy] = [
    Greedy(),
    EpsilonGreedy(kind="epsilon-greedy", epsilon=0.4),
    Softmax(kind="softmax", temperature=0.05),
    Thompson(kind="thompson"),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
def test_a_replayed_list_has_the_propensities_with_which_it_was_drawn(payload, policy) -> None:
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


def test_an_item_that_cannot_follow_has_propensity_zero(payload) -> None:
    options = ListOptions(policy=fixed_list_policy(["east1", "nothing", "both"], POLICIES[2]))
    ranked = payload.recommender().recommend(Request(UserHistory.empty(), k=3, options=options))
    assert ranked[0].propensity > 0
    assert [item.propensity for item in ranked[1:]] == [0.0, 0.0]


EXPERIMENT = """
experiment:
  arms:
    explore: {share: 1.0, policy: {kind: softmax, temperature: 0.05}}
    bolder: {share: 0.0, policy: {kind: softmax, temperature: 0.2}}
    counted: {share: 0.0, policy: {kind: thompson}}
"""
CLICK_RATES = {"east1": 0.1, "east2": 0.2, "north1": 0.3, "north2": 0.4, "both": 0.5}


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
    registry.register("v1", model, reference, tiny_model.LINEAGE)
    registry.promote("v1", [])
    policy, no_deadline = SiteRules.from_file(read_settings().policy), DeadlineConfig(seconds=None)
    engine = Engine(registry, home.champion, EventStore.of(home), 60, policy, no_deadline)
    engine.start()
    yield engine
    engine.stop()


def serve_lists(engine: Engine, users: int) -> None:
    """Request a list on two days for each user and click by click rate; one list has a query."""
    client, rng = TestClient(create_app(engine)), np.random.default_rng(1)
    for user in range(users):
        for day in range(2):
            timestamp = f"2024-06-0{day + 1}T12:00:00Z"
            request = {"user_id": f"u{user}", "k": 2, "context": {"timestamp": timestamp}}
            response = client.post("/v1/recommend", json=request).json()
            shown = [item["item_id"] for item in response["items"]]
            clicked = next((item for item in shown if rng.random() < CLICK_RATES[item]), None)
            if clicked:
                event = {"event_id": f"{user} {day}", "user_id": f"u{user}", "event": "click"}
                event |= {
                    "item_id": clicked,
                    "request_id": response["request_id"],
                    "timestamp": timestamp,
                }
                client.post("/v1/events", json={"events": [event]}).raise_for_status()
    client.post("/v1/recommend", json={"user_id": "u0", "k": 2, "query": "north"})
    engine.stop()


def test_lists_of_a_service_are_replayed(service, home) -> None:
    serve_lists(service, 40)
    store, site_rules = EventStore.of(home), SiteRules.from_file(read_settings().policy)
    served, events = store.served(), store.events()
    histories = PointInTimeHistories.from_events(Registry(home).load("v1"), events, {})
    same = replay_lists(
        served, events, histories, site_rules, site_rules.experiment.policy("explore")
    )
    assert same.skipped == 1
    assert len(same.lists.users) == 80
    np.testing.assert_allclose(
        same.lists.target_propensities, same.lists.logging_propensities, rtol=1e-3
    )
    clicked = events["request_id"].n_unique() / 80
    assert on_policy(same.lists).value == pytest.approx(clicked)
    bolder = replay_lists(
        served, events, histories, site_rules, site_rules.experiment.policy("bolder")
    )
    assert estimate(bolder.lists, "list").mean_weight == pytest.approx(1, abs=0.35)
    with pytest.raises(CountsUnavailableError, match="let the arm serve"):
        replay_lists(served, events, histories, site_rules, site_rules.experiment.policy("counted"))
    other = SiteRules.model_validate(
        {"experiment": {"arms": {"explore": {"share": 1, "policy": {"kind": "thompson"}}}}}
    )
    with pytest.raises(NoExplorationError, match="none of 81 lists could be reconstructed"):
        replay_lists(served, events, histories, other, Greedy())
    store.close()


def test_the_command_estimates_the_reward_of_an_arm(service) -> None:
    run = CliRunner().invoke
    refused = run(cli, ["off-policy", "--arm", "bolder"])
    assert refused.exit_code == 1
    assert "has to serve first" in refused.stderr
    serve_lists(service, 20)
    output = run(cli, ["off-policy", "--arm", "bolder"], env={"COLUMNS": "200"}).stdout
    assert "v1: 40 lists of arms that explore; 1 could not be reconstructed" in output
    assert "the whole list" in output
    assert "no arm 'nobody'" in run(cli, ["off-policy", "--arm", "nobody"]).stderr
