"""The service's Prometheus metrics, of all workers together, without anything about people."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
# Where workers share what they count; set by BentoML.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
# Bytes of each file in which a worker shares: several times what every route and stage takes.
_ROOM = 1 << 18
_MODEL_MODE: Final = "mostrecent"
_EVENT_MODE: Final = "max"
_FILES = ("counter", "histogram", f"gauge_{_MODEL_MODE}", f"gauge_{_EVENT_MODE}")


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

    if os.environ.get(_SHARED):
        _claim_room(Path(os.environ[_SHARED]))
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
            multiprocess_mode=_MODEL_MODE,
        ),
        Gauge(
            "recloop_newest_event_timestamp_seconds",
            "When the newest stored event happened",
            multiprocess_mode=_EVENT_MODE,
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


def _claim_room(folder: Path) -> None:
    """The files that this process shares, as long as they will ever be, before anything is counted.

    The library makes each at the first count and lengthens it with the later ones, which a full disk
    refuses: an answer would fail because it cannot be counted.
    """
    for kind in _FILES:
        file = folder / f"{kind}_{os.getpid()}.db"
        if not file.exists():
            file.write_bytes(bytes(_ROOM))
