"""Measure one request rate, and search the highest rate that is within the limits."""

import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.serving.calls import Calls
from benchmarks.serving.load import Call, send_at_rate, summary

# A rate at which requests do not overlap, and the busiest hour of a small shop.
CALM_RATE, KNOWN_RATE = 5, 100
RATES = (250, 400, 500, 750, 1000, 1500, 2000)
P99_MS = 25.0
WARM_UP_SECONDS = 5.0
# Largest share of failed requests, exclusive.
_FAILURES = 0.001


def step(url: str, name: str, calls: Iterator[Call], rate: float, seconds: float) -> dict[str, Any]:
    """Warm up, then measure one rate."""
    print(f"{name} at {rate:g}/s", file=sys.stderr, flush=True)
    send_at_rate(url, calls, rate, WARM_UP_SECONDS)
    return summary(send_at_rate(url, calls, rate, seconds), rate)


def peak(url: str, calls: Calls, seconds: float, known: dict[str, Any]) -> dict[str, Any]:
    """Measure known users at rising rates until one exceeds the limits.

    `known` is the result at the lowest rate.
    """
    tried: list[dict[str, Any]] = []
    for rate in RATES if _held(known) else ():
        tried.append(step(url, "known users", calls.known(), rate, seconds))
        if not _held(tried[-1]):
            break
    held = [each["rate"] for each in (known, *tried) if _held(each)]
    return {"p99_limit_ms": P99_MS, "held": max(held, default=0), "tried": tried}


def _held(measured: dict[str, Any]) -> bool:
    return bool(measured["p99_ms"] <= P99_MS and measured["error_rate"] < _FAILURES)
