"""Measure one request rate, and search the highest rate that is within the limits."""

from collections.abc import Iterator
from typing import Any

from benchmarks.output import log
from benchmarks.serving.calls import Calls
from benchmarks.serving.load import Call, send_at_rate, summary

# A rate at which requests do not overlap, and the busiest hour of a small shop.
CALM_RATE, BUSY_RATE = 5, 100
RATES = (250, 400, 500, 750, 1000, 1500, 2000)
P99_MS = 25.0
WARM_UP_SECONDS = 5.0
# Largest share of failed requests, exclusive.
_FAILURES = 0.001


def measure_rate(
    url: str, name: str, calls: Iterator[Call], rate: float, seconds: float
) -> dict[str, Any]:
    """Warm up, then measure one rate."""
    log(f"{name} at {rate:g}/s")
    send_at_rate(url, calls, rate, WARM_UP_SECONDS)
    return summary(send_at_rate(url, calls, rate, seconds), rate)


def find_highest_rate(
    url: str, calls: Calls, seconds: float, busy: dict[str, Any]
) -> dict[str, Any]:
    """Measure requests of known users at rising rates until one exceeds the limits.

    `busy` is the result at `BUSY_RATE`, which is lower than those.
    """
    tried: list[dict[str, Any]] = []
    for rate in RATES if _within_limits(busy) else ():
        tried.append(measure_rate(url, "known users", calls.user_requests(), rate, seconds))
        if not _within_limits(tried[-1]):
            break
    held = [each["rate"] for each in (busy, *tried) if _within_limits(each)]
    return {"p99_limit_ms": P99_MS, "held": max(held, default=0), "tried": tried}


def _within_limits(measured: dict[str, Any]) -> bool:
    return bool(measured["p99_ms"] <= P99_MS and measured["error_rate"] < _FAILURES)
