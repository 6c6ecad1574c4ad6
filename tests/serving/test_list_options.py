"""Filters, site rules, arms and explanations over HTTP, and the stored lists."""

import pytest
from fastapi.testclient import TestClient

from recloop.config import ConfigError
from recloop.recommender.site_rules import SiteRules
from recloop.registry.champion import write_champion
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore
from tests.support import faults

POLICY = """
rules:
  quotas: [{category: east, at_most: 1}]
experiment:
  key: spring
  arms:
    explore: {share: 1.0, policy: {kind: softmax, temperature: 0.05}}
    counted: {share: 0.0, policy: {kind: thompson}}
"""


@pytest.fixture
def policy(tmp_path) -> SiteRules:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return SiteRules.from_file(file)


@pytest.fixture
def engine(tmp_path, payload, policy):
    write_champion(tmp_path / "champion.json", "v1", [])
    store = EventStore.at(tmp_path / "events.db")
    engine = Engine(
        faults.Models(payload.recommender()), tmp_path / "champion.json", store, 60, policy
    )
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def client(engine) -> TestClient:
    return TestClient(create_app(engine))


def recommend(client: TestClient, **body: object) -> dict:
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_filters_hold_for_live_items(client, engine) -> None:
    item = {"item_id": "east1", "title": "Film east1", "attributes": {"price": 5, "tag": "sale"}}
    client.post("/v1/items", json={"items": [item]})
    for filters in (
        {"ranges": {"price": {"min": 5}}},
        {"attributes": {"tag": ["sale", "new"]}},
        {"only": ["east1", "both"], "deny": ["both"]},
    ):
        assert ids(recommend(client, filters=filters, arm="champion")) == ["east1"]
    assert ids(recommend(client, filters={"published_at": {"min": "2024-01-01T00:00:00Z"}})) == []


def test_site_rules_hold_beside_the_rules_of_the_request(client) -> None:
    found = recommend(client, arm="champion", boosts=[{"category": "both", "add": 100}])
    assert ids(found) == ["both", "east1", "north1", "north2"]
    assert found["items"][0]["propensity"] == 1.0


def test_explanations_are_returned_if_requested(client) -> None:
    history = [{"item_id": "north1", "event": "play"}]
    first = recommend(client, arm="champion", history=history, explain=True, k=1)["items"][0]
    assert first["explanation"][0] == {
        "code": "history",
        "text": "Because you played Film north1",
        "item_id": "north1",
    }
    assert recommend(client)["items"][0]["explanation"] is None


def test_arms_and_propensities_are_stored_as_returned(client, engine, tmp_path) -> None:
    answer = recommend(client, user_id="adam")
    assert answer["arm"] == "explore"
    assert recommend(client, user_id="adam", arm="counted")["arm"] == "counted"
    engine.stop()
    row, _ = EventStore.at(tmp_path / "events.db").served().rows(named=True)
    assert row["items"] == ids(answer)
    assert row["arm"] == "explore"
    assert row["propensities"] == [item["propensity"] for item in answer["items"]]
    assert 0 < min(row["propensities"]) < 1


@pytest.mark.parametrize(
    "body",
    [
        {"arm": "no such arm"},
        {"diversity": 1.1},
        {"filters": {"ranges": {"price": {"min": 2, "max": 1}}}},
        {"filters": {"ranges": {"price": {}}}},
        {"filters": {"published_at": {"min": "0001-01-01T00:00:00+14:00"}}},
        {"filters": {"published_at": {"max": "9999-12-31T23:59:59-14:00"}}},
        {"boosts": [{"category": "east"}]},
        {"boosts": [{"category": "east", "item_id": "east1", "add": 1}]},
        {"quotas": [{"category": "east", "at_least": 2, "at_most": 1}]},
    ],
)
def test_contradictory_options_are_refused(client, body) -> None:
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


def test_without_a_policy_file_there_are_no_rules_and_an_invalid_one_is_an_error(tmp_path) -> None:
    assert SiteRules.from_file(None) == SiteRules()
    bad = tmp_path / "bad.yaml"
    bad.write_text("experiment: {arms: {a: {share: 2}}}")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        SiteRules.from_file(bad)
    with pytest.raises(ConfigError):
        SiteRules.from_file(tmp_path / "none.yaml")
