"""Metrics, traces, log lines and the query cache, which contain no personal data."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import structlog
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from structlog.testing import LogCapture, capture_logs

from recloop.columns import Event
from recloop.recommender.recommender import Recommender
from recloop.scoring.query.vector_cache import CachedEncoder
from recloop.serving.app import create_app
from recloop.serving.middleware import telemetry as observed
from recloop.serving.telemetry import tracing
from recloop.settings import variables_of
from recloop.store.event_store import EventStore, StoredEvent
from tests.support import faults, tiny_model

WHO = "adam-the-user"
CLICK = {
    "event_id": "e1",
    "user_id": WHO,
    "item_id": "east1",
    "event": "click",
    "request_id": "r1",
    "timestamp": "2024-01-01T00:00:00Z",
}


@pytest.fixture
def client(tmp_path):
    ranker = faults.ObedientRanker()
    engine = faults.engine(tmp_path, faults.reranked(tiny_model.payload().recommender(), ranker))
    yield TestClient(create_app(engine), raise_server_exceptions=False)
    engine.store.close()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_every_stage_is_timed(client) -> None:
    stages = ("state", "score", "query", "ranker", "filter", "total")
    before = {stage: value("recloop_stage_seconds_count", stage=stage) for stage in stages}
    client.post("/v1/recommend", json={"user_id": WHO, "query": "north"})
    for stage in stages:
        assert value("recloop_stage_seconds_count", stage=stage) > before[stage], stage


def test_shown_items_and_new_clicks_on_them_are_counted(client) -> None:
    shown, clicked = value("recloop_impressions_total"), value("recloop_clicks_total")
    client.post("/v1/recommend", json={"k": 3})
    other = {"event_id": "e2", "request_id": None}
    events = [CLICK, CLICK, CLICK | other, CLICK | {"event_id": "e3", "event": "rating"}]
    assert client.post("/v1/events", json={"events": events}).json()["accepted"] == 3
    client.post("/v1/events", json={"events": [CLICK]})
    assert value("recloop_impressions_total") == shown + 3
    assert value("recloop_clicks_total") == clicked + 1


def test_the_time_of_the_newest_event_never_decreases(client) -> None:
    def send(name: str, year: int) -> float:
        event = CLICK | {"event_id": name, "timestamp": f"{year}-01-01T00:00:00Z"}
        client.post("/v1/events", json={"events": [event]})
        return value("recloop_newest_event_timestamp_seconds")

    assert send("e2", 2025) == send("e1", 2024) == datetime(2025, 1, 1, tzinfo=UTC).timestamp()


def test_queries_are_encoded_once(client) -> None:
    hits = value("recloop_query_cache_total", outcome="hit")
    misses = value("recloop_query_cache_total", outcome="miss")
    answers = [client.post("/v1/recommend", json={"query": "north"}).json() for _ in range(3)]
    assert value("recloop_query_cache_total", outcome="miss") == misses + 1
    assert value("recloop_query_cache_total", outcome="hit") == hits + 2
    assert answers[0]["items"] == answers[2]["items"]


def test_the_cache_is_bounded_and_its_vectors_cannot_be_changed() -> None:
    class Counting:
        read: list[str] = []

        def encode_query(self, query: str) -> np.ndarray:
            self.read.append(query)
            return np.ones(2, np.float32)

        encode_passage = encode_query

    hits: list[bool] = []
    cached = CachedEncoder(Counting(), 2, lambda *, hit: hits.append(hit))
    for query in ("a", "b", "a", "c", "a", "b"):
        vector = cached.encode_query(query)
    assert Counting.read == ["a", "b", "c", "b"]
    assert hits == [False, False, True, False, True, False]
    with pytest.raises(ValueError, match="read-only"):
        vector += 1


def test_no_id_is_in_metrics_or_log_lines(client, monkeypatch) -> None:
    access = LogCapture()  # of all levels, unlike the service's own
    monkeypatch.setattr(
        observed, "log", structlog.wrap_logger(None, [access], structlog.BoundLogger)
    )
    with capture_logs() as lines:
        client.post("/v1/events", json={"events": [CLICK]})
        client.post("/v1/recommend", json={"user_id": WHO, "query": f"for {WHO}"})
        client.get(f"/v1/users/{WHO}/export")
        client.delete(f"/v1/users/{WHO}")
        client.get(f"/v1/nothing/{WHO}")
    measured = client.get("/metrics")
    assert measured.headers["content-type"].startswith("text/plain")
    assert 'route="/v1/users/{user_id:path}/export",status="200"' in measured.text
    assert 'route="other",status="404"' in measured.text
    assert WHO not in measured.text
    assert [line["status"] for line in access.entries[:5]] == [200, 200, 200, 200, 404]
    assert WHO not in str(lines) + str(access.entries)


@pytest.fixture
def spans(monkeypatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    tracer = tracing.build_tracer(exporter, at_once=True)
    monkeypatch.setattr(tracing, "tracer", lambda: tracer)
    return exporter


def test_a_request_is_traced_with_its_stages_and_without_personal_data(client, spans) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
    body = {"user_id": WHO, "query": f"for {WHO}"}
    client.post("/v1/recommend", json=body, headers=headers)
    found = {span.name: span for span in spans.get_finished_spans()}
    root = found["POST /v1/recommend"]
    assert f"{root.context.trace_id:032x}" == trace
    assert f"{root.parent.span_id:016x}" == parent
    above = {"total": "POST /v1/recommend", "state": "total", "score": "total", "ranker": "score"}
    for name, over in above.items():
        assert found[name].parent.span_id in {
            span.context.span_id for span in spans.get_finished_spans() if span.name == over
        }
    assert root.attributes["http.response.status_code"] == 200
    assert WHO not in "".join(span.to_json() for span in spans.get_finished_spans())


def test_an_internal_error_is_traced_by_its_class_only(client, spans, monkeypatch) -> None:
    def fault(*_: object):
        raise LookupError(WHO)

    monkeypatch.setattr(Recommender, "popular", fault)
    assert client.get("/v1/popular").status_code == 500
    root = spans.get_finished_spans()[-1]
    assert (root.name, root.attributes["http.response.status_code"]) == ("GET /v1/popular", 500)
    assert WHO not in "".join(span.to_json() for span in spans.get_finished_spans())


def test_nothing_is_exported_without_an_endpoint(monkeypatch) -> None:
    for name in variables_of("otlp_endpoint"):
        monkeypatch.delenv(name, raising=False)
    tracing.tracer.cache_clear()
    with tracing.span("score") as span:
        assert not span.is_recording()


WORKER = """
import sys
from recloop.serving.telemetry.prometheus import metrics
metrics().impressions.inc(int(sys.argv[1]))
metrics().model.labels("data").set(int(sys.argv[1]))
metrics().newest_event.set(int(sys.argv[1]))
"""
FULL_DISK = """
import resource
from recloop.serving.app import create_app
from recloop.serving.telemetry.prometheus import render_metrics, metrics
from recloop.serving.execution.scoring_stages import Stage
counted = metrics()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file may become longer
counted.newest_event.set(1)
counted.model.labels("data").set(1)
for route in create_app(None).openapi()["paths"]:
    for status in (200, 400, 401, 403, 404, 405, 411, 413, 422, 429, 500, 503):
        counted.responses.labels("POST", route, status).inc()
    counted.seconds.labels(route).observe(1)
for stage in Stage:
    counted.fallbacks.labels(stage).inc()
    counted.stages.labels(stage).observe(1)
for version in range(500):
    counted.recommendations.labels(f"v{version}").inc()
print(render_metrics()[0].decode())
"""
READER = """
from recloop.serving.telemetry.prometheus import render_metrics
print(render_metrics()[0].decode())
"""


def in_a_process(folder: Path, code: str, *arguments: str) -> list[str]:
    """The lines that `code` prints in a process whose metrics are shared in `folder`."""
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": "src"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_metrics_are_counted_on_a_full_disk(tmp_path) -> None:
    lines = in_a_process(tmp_path, FULL_DISK)
    assert 'recloop_recommendations_total{model_version="v499"} 1.0' in lines
    assert 'recloop_requests_total{method="POST",route="/v1/recommend",status="503"} 1.0' in lines
    assert "recloop_newest_event_timestamp_seconds 1.0" in lines
    files = list(tmp_path.iterdir())
    assert files
    for file in files:
        assert int.from_bytes(file.read_bytes()[:4], sys.byteorder) < file.stat().st_size / 2


def test_the_metrics_are_those_of_all_workers(tmp_path) -> None:
    for number in ("5", "3"):
        in_a_process(tmp_path, WORKER, number)
    lines = in_a_process(tmp_path, READER)
    assert "recloop_impressions_total 8.0" in lines
    assert 'recloop_model_timestamp_seconds{of="data"} 3.0' in lines  # a model may be older
    assert "recloop_newest_event_timestamp_seconds 5.0" in lines


def test_the_newest_stored_event_is_read_at_the_start(tmp_path) -> None:
    store = EventStore.at(tmp_path / "events.db")
    assert store.newest() is None
    now = datetime(2024, 5, 1, tzinfo=UTC)
    store.append([StoredEvent("e", "u", "i", now, Event.CLICK)])
    assert store.newest() == now
    store.close()
