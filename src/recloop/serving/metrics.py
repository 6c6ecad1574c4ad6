"""The service's Prometheus metrics, of all workers together, without anything about people."""

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
# Where workers share what they count; set by BentoML.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True)
class Metrics:
    """Click-through rate is `clicks / impressions`; the age of something is `time()` less its timestamp.

    `answers` counts requests by route, as it is declared, and status. `impressions` are items in served
    lists, `clicks` new click events that name their request.
    """

    recommendations: "Counter"
    events: "Counter"
    seconds: "Histogram"
    stages: "Histogram"
    fallbacks: "Counter"
    query_cache: "Counter"
    impressions: "Counter"
    clicks: "Counter"
    answers: "Counter"
    model: "Gauge"
    newest_event: "Gauge"


@cache
def metrics() -> Metrics:
    """The metrics of this process, made when its service starts.

    A worker learns where its metrics are shared only after it has imported the service; what is made
    before that stays invisible.
    """
    from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415

    return Metrics(
        Counter("recloop_recommendations", "Lists served", ["model_version"]),
        Counter("recloop_events", "Events taken in", ["outcome"]),
        Histogram("recloop_seconds", "Time to an answer", ["route"], buckets=_BUCKETS),
        Histogram("recloop_stage_seconds", "Time in a stage", ["stage"], buckets=_BUCKETS),
        Counter("recloop_fallbacks", "Answers that had to do without a stage", ["stage"]),
        Counter("recloop_query_cache", "Queries asked for", ["outcome"]),
        Counter("recloop_impressions", "Items in served lists"),
        Counter("recloop_clicks", "New clicks that name their request"),
        Counter("recloop_requests", "Requests answered", ["method", "route", "status"]),
        Gauge(
            "recloop_model_timestamp_seconds",
            "The serving model: when it was packaged, and when what it learned from ends",
            ["of"],
            multiprocess_mode="mostrecent",
        ),
        Gauge(
            "recloop_newest_event_timestamp_seconds",
            "When the newest stored event happened",
            multiprocess_mode="max",
        ),
    )


def exposition() -> tuple[bytes, str]:
    """All of it in Prometheus' format, and that format's content type."""
    import prometheus_client as prometheus  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    metrics()
    registry = prometheus.REGISTRY
    if os.environ.get(_SHARED):
        registry = prometheus.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return prometheus.generate_latest(registry), prometheus.CONTENT_TYPE_LATEST
