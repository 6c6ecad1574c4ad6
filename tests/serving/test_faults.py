"""Stages that hang, raise or return invalid values: the response names the missing stages."""

import sqlite3
import threading
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from recloop.columns import Event
from recloop.recommender.recommender import Recommender
from recloop.serving.app import create_app
from recloop.serving.execution.circuit_breaker import BreakerConfig
from recloop.serving.execution.deadline import DeadlineConfig
from recloop.store.event_store import StoredEvent
from tests.support import faults, tiny_model

NOW = datetime(2024, 1, 1, tzinfo=UTC)
# A deadline that no working stage misses on a busy machine, and one for stages that hang.
AMPLE, SOON = DeadlineConfig(seconds=300), DeadlineConfig(seconds=1)


@pytest.fixture
def ranker():
    ranker = faults.ObedientRanker()
    yield ranker
    ranker.released.set()


@pytest.fixture
def engine(tmp_path, ranker):
    recommender = faults.reranked(tiny_model.payload().recommender(), ranker)
    engine = faults.engine(tmp_path, recommender)
    engine.deadlines = AMPLE
    yield engine
    engine.store.close()


def ask(engine, **body: object) -> dict:
    answer = TestClient(create_app(engine)).post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: dict) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def fallbacks(stage: str) -> float:
    return REGISTRY.get_sample_value("recloop_fallbacks_total", {"stage": stage}) or 0.0


def test_the_ranker_reorders_the_first_items_if_requested(engine, ranker) -> None:
    plain, led = ask(engine, ranker=False, explain=True), ask(engine, explain=True)
    assert plain["degraded"] == led["degraded"] == []
    assert ids(plain) == ["east1", "east2", "north1", "north2", "both"]
    assert ids(led) == ["north1", "east2", "east1", "north2", "both"]
    scores = [item["score"] for item in led["items"]]
    assert scores == pytest.approx([item["score"] for item in plain["items"]])
    for item in led["items"]:
        assert sum(item["reasons"].values()) == pytest.approx(item["score"], abs=1e-5)


@pytest.mark.parametrize("fault", ["raises", "nan", "short"])
def test_if_the_ranker_fails_the_list_is_served_without_it(engine, ranker, fault) -> None:
    before = fallbacks("ranker")
    ranker.does = getattr(ranker, fault)
    answer = ask(engine)
    assert answer["degraded"] == ["ranker"]
    assert ids(answer) == ids(ask(engine, ranker=False))
    assert fallbacks("ranker") == before + 1


def test_a_response_does_not_wait_for_a_ranker_that_hangs(engine, ranker) -> None:
    ranker.does, engine.deadlines = ranker.hangs, SOON
    answer = ask(engine)
    assert "ranker" in answer["degraded"]
    assert ids(answer) == ids(ask(engine, ranker=False))


def test_a_ranker_that_keeps_failing_is_not_called(engine, ranker) -> None:
    ranker.does = ranker.raises
    most = BreakerConfig().max_failures
    before = ranker.calls
    for _ in range(most + 3):
        assert ask(engine)["degraded"] == ["ranker"]
    assert ranker.calls - before == most


def test_the_ranker_is_not_called_if_the_request_excludes_it(engine, ranker) -> None:
    ranker.does, before = ranker.raises, ranker.calls
    assert ask(engine, ranker=False)["degraded"] == []
    assert ranker.calls == before


def break_scores(engine, monkeypatch, fault) -> None:
    monkeypatch.setattr(engine.live_model.last_known.recommender.blend, "contributions", fault)


def test_if_scoring_fails_the_list_has_popular_items_under_the_same_filter(
    engine, monkeypatch
) -> None:
    def fault(_asked):
        raise ZeroDivisionError

    break_scores(engine, monkeypatch, fault)
    answer = ask(engine, user_id="eve", exclude=["north1"])
    assert answer["degraded"] == ["score"]
    assert ids(answer) == ["east2", "north2", "both"]  # eve has seen east1
    assert ids(ask(engine, filters={"categories": ["north"]})) == ["north1", "north2"]


def test_a_response_does_not_wait_for_scoring_that_hangs(engine, monkeypatch) -> None:
    going_on = threading.Event()
    break_scores(engine, monkeypatch, lambda _asked: going_on.wait(60))
    engine.deadlines = SOON
    answer = ask(engine)
    going_on.set()
    assert "score" in answer["degraded"]
    assert ids(answer)[0] == "east1"


def test_if_every_stage_fails_the_list_is_empty(engine, monkeypatch) -> None:
    def fault(*_: object):
        raise ZeroDivisionError

    break_scores(engine, monkeypatch, fault)
    monkeypatch.setattr(Recommender, "popular", fault)
    answer = ask(engine)
    assert (answer["items"], answer["degraded"]) == ([], ["score", "popularity"])


def fail_reads(engine) -> None:
    """Let every later statement of the database fail."""

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", {}, sqlite3.OperationalError("disk I/O error"))

    event.listen(engine.store.engine, "before_cursor_execute", refuse)


def test_without_the_store_the_packaged_history_is_used(engine) -> None:
    engine.ingest([StoredEvent("e1", "eve", "north1", NOW, Event.CLICK)])
    assert not {"east1", "north1"} & set(ids(ask(engine, user_id="eve")))
    fail_reads(engine)
    answer = ask(engine, user_id="eve")
    assert answer["degraded"] == ["state"]
    assert "north1" in ids(answer)
    assert "east1" not in ids(answer)


def test_a_response_does_not_wait_for_a_store_that_hangs(engine, monkeypatch) -> None:
    going_on = threading.Event()
    monkeypatch.setattr(engine.store, "recent", lambda *_: going_on.wait(60))
    engine.deadlines = SOON
    answer = ask(engine, user_id="eve")
    going_on.set()
    assert "state" in answer["degraded"]
    assert "east1" not in ids(answer)


def test_an_erased_user_stays_erased_without_the_store(engine) -> None:
    client = TestClient(create_app(engine))
    assert client.delete("/v1/users/eve").status_code == 200
    fail_reads(engine)
    answer = ask(engine, user_id="eve")
    assert answer["degraded"] == ["state"]
    assert "east1" in ids(answer)


@pytest.mark.parametrize("path", ["popular", "items/east1/similar"])
def test_other_lists_are_served_without_the_store(engine, path) -> None:
    fail_reads(engine)
    answer = TestClient(create_app(engine)).get(f"/v1/{path}", params={"user_id": "eve"})
    assert answer.status_code == 200, answer.text


def test_without_a_deadline_failed_stages_are_replaced_too(tmp_path, ranker) -> None:
    recommender = faults.reranked(tiny_model.payload().recommender(), ranker)
    engine = faults.engine(tmp_path, recommender)
    ranker.does = ranker.raises
    assert ask(engine)["degraded"] == ["ranker"]
    fail_reads(engine)
    assert ask(engine, user_id="eve")["degraded"] == ["state", "ranker"]


def test_a_failure_is_logged_without_its_message(engine, ranker) -> None:
    ranker.does = ranker.raises
    with capture_logs() as lines:
        ask(engine, user_id="somebody")
    text = str(lines)
    assert "RuntimeError at faults.py" in text
    assert "adam" not in text
    assert "somebody" not in text
