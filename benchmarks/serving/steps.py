"""One rate for a while, and the highest rate that is held."""

import sys
from collections.abc import Iterator
from typing import Any

from calls import Calls
from load import Call, offer, summary

# One after another, so that nobody waits for somebody else; and what a small shop has at its busiest.
CALM_RATE, KNOWN_RATE = 5, 100
RATES = (250, 400, 500, 750, 1000, 1500, 2000)
P99_MS = 25.0
WARM_UP_SECONDS = 5.0
# Fewer than that many of a thousand may fail at a rate that is held.
_FAILURES = 0.001


def step(url: str, name: str, calls: Iterator[Call], rate: float, seconds: float) -> dict[str, Any]:
    """Warm up, then measure."""
    print(f"{name} at {rate:g}/s", file=sys.stderr, flush=True)
    offer(url, calls, rate, WARM_UP_SECONDS)
    return summary(offer(url, calls, rate, seconds), rate)


def peak(url: str, calls: Calls, seconds: float, known: dict[str, Any]) -> dict[str, Any]:
    """Ever higher rates of known users until one is not held; `known` was measured at the lowest."""
    tried: list[dict[str, Any]] = []
    for rate in RATES if _held(known) else ():
        tried.append(step(url, "known users", calls.known(), rate, seconds))
        if not _held(tried[-1]):
            break
    held = [each["rate"] for each in (known, *tried) if _held(each)]
    return {"p99_limit_ms": P99_MS, "held": max(held, default=0), "tried": tried}


def _held(measured: dict[str, Any]) -> bool:
    return bool(measured["p99_ms"] <= P99_MS and measured["error_rate"] < _FAILURES)
