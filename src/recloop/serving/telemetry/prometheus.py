"""Prometheus metrics of the service, of all workers together, without personal data."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
# Variable with the folder of the workers' shared metric files; set by BentoML.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
# Bytes of each shared file: several times what the metrics of all routes and stages need.
_FILE_BYTES = 1 << 18
_MODEL_MODE: Final = "mostrecent"
_EVENT_MODE: Final = "max"
_FILES = ("counter", "histogram", f"gauge_{_MODEL_MODE}", f"gauge_{_EVENT_MODE}")


@dataclass(frozen=True)
class Metrics:
    """Metrics of the service.

    The click-through rate is `clicks / impressions`. Timestamps are in seconds since 1970, so that
    an age in PromQL is `time()` minus the timestamp.

    Attributes:
        recommendations: Served lists, by model version.
        events: Received events, by outcome: accepted or duplicate.
        seconds: Duration of requests, by route.
        stages: Duration of the stages of a response.
        fallbacks: Responses in which a stage was replaced by its fallback, by stage.
        query_cache: Query vectors that were found in the cache (hit) or not (miss).
        impressions: Items in served lists.
        clicks: New click events with a request id.
        responses: Responses by method, route template and status.
        model: Time of packaging of the served model, and end of its training data.
        newest_event: Time of the newest stored event.
    """

    recommendations: "Counter"
    events: "Counter"
    seconds: "Histogram"
    stages: "Histogram"
    fallbacks: "Counter"
    query_cache: "Counter"
    impressions: "Counter"
    clicks: "Counter"
    responses: "Counter"
    model: "Gauge"
    newest_event: "Gauge"


@cache
def metrics() -> Metrics:
    """Return the metrics of this process; the first call creates them.

    The first call must come when the service starts, not when it is imported: BentoML sets the
    folder of the shared metric files after the import, and metrics that are created before it are
    not exported.
    """
    from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415

    if os.environ.get(_SHARED):
        _allocate_files(Path(os.environ[_SHARED]))
    return Metrics(
        Counter("recloop_recommendations", "Lists served", ["model_version"]),
        Counter("recloop_events", "Events received", ["outcome"]),
        Histogram(
            "recloop_seconds", "Duration of a request in seconds", ["route"], buckets=_BUCKETS
        ),
        Histogram(
            "recloop_stage_seconds", "Duration of a stage in seconds", ["stage"], buckets=_BUCKETS
        ),
        Counter(
            "recloop_fallbacks",
            "Responses in which a stage was replaced by its fallback",
            ["stage"],
        ),
        Counter("recloop_query_cache", "Lookups of query vectors in the cache", ["outcome"]),
        Counter("recloop_impressions", "Items in served lists"),
        Counter("recloop_clicks", "New click events with a request id"),
        Counter("recloop_requests", "Responses", ["method", "route", "status"]),
        Gauge(
            "recloop_model_timestamp_seconds",
            "Time of packaging of the served model, and end of its training data",
            ["of"],
            multiprocess_mode=_MODEL_MODE,
        ),
        Gauge(
            "recloop_newest_event_timestamp_seconds",
            "Time of the newest stored event",
            multiprocess_mode=_EVENT_MODE,
        ),
    )


def render_metrics() -> tuple[bytes, str]:
    """Return the metrics of all workers in the Prometheus text format, and its content type."""
    import prometheus_client as prometheus  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    metrics()
    registry = prometheus.REGISTRY
    if os.environ.get(_SHARED):
        registry = prometheus.CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return prometheus.generate_latest(registry), prometheus.CONTENT_TYPE_LATEST


def _allocate_files(folder: Path) -> None:
    """Create the shared metric files of this process in their final size.

    Otherwise, prometheus_client creates and extends the files while it counts, and on a full disk
    requests would fail because they cannot be counted.
    """
    for kind in _FILES:
        file = folder / f"{kind}_{os.getpid()}.db"
        if not file.exists():
            file.write_bytes(bytes(_FILE_BYTES))
