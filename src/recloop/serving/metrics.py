"""The service's own Prometheus metrics, beside those of BentoML at `/metrics`."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(frozen=True)
class Metrics:
    """Lists served, events taken in, and the time to an answer."""

    recommendations: "Counter"
    events: "Counter"
    seconds: "Histogram"


@cache
def metrics() -> Metrics:
    """The metrics of this process, made when its service starts.

    A worker learns where its metrics are shared only after it has imported the service; what is made
    before that stays invisible.
    """
    from prometheus_client import Counter, Histogram  # noqa: PLC0415

    return Metrics(
        Counter("recloop_recommendations", "Lists served", ["model_version"]),
        Counter("recloop_events", "Events taken in", ["outcome"]),
        Histogram("recloop_seconds", "Time to an answer", ["route"], buckets=_BUCKETS),
    )
