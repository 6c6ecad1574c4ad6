"""Open-loop load generator: requests are sent at a constant rate, answered or not.

A latency is measured from the time at which the request was due. A service that stalls therefore
cannot hide the stall by delaying later requests (coordinated omission, Tene 2013).

It is our own, because no maintained generator that could be installed is precise enough on a
machine that it shares with the service; docs/log.md compares it with three of them.
"""

import asyncio
import gc
import json
import selectors
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.serving.connections import ConnectionPool

_SUCCESS = 2  # first digit of the HTTP statuses of success


@dataclass(frozen=True)
class Call:
    """Request of a load test: path and JSON body of a POST."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one request, in seconds from when it was due: until it was sent and answered."""

    seconds: float
    delay: float
    success: bool


def send_at_rate(url: str, calls: Iterator[Call], rate: float, seconds: float) -> list[Timing]:
    """Send `rate` calls per second for `seconds`, and wait until all are answered or timed out."""
    # A pause for this process's own garbage collection would count as latency of the service.
    gc.collect()
    gc.disable()
    try:
        # epoll waits in whole milliseconds, as long as some responses take. select does not.
        with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
        ) as runner:
            return runner.run(_send_all(url, islice(calls, round(rate * seconds)), rate))
    finally:
        gc.enable()


def summary(timings: list[Timing], rate: float) -> dict[str, Any]:
    """Return percentiles in milliseconds, failed requests included.

    `late_p99_ms` is the delay of the generator itself: how much later than due requests were sent.
    """
    seconds = np.array([timing.seconds for timing in timings])
    delays = np.array([timing.delay for timing in timings])
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99]) * 1e3
    errors = sum(not timing.success for timing in timings)
    return {
        "rate": rate,
        "requests": len(timings),
        "errors": errors,
        "error_rate": errors / len(timings),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
        "late_p99_ms": round(float(np.percentile(delays, 99) * 1e3), 2),
    }


async def _send_all(url: str, calls: Iterator[Call], rate: float) -> list[Timing]:
    pool, timings = ConnectionPool(url), list[Timing]()
    # Requests are encoded before the first is due, so that this takes no time from the service.
    requests = [pool.encode_post(call.path, json.dumps(call.body).encode()) for call in calls]
    async with asyncio.TaskGroup() as unanswered:
        started = time.perf_counter()
        for number, request in enumerate(requests):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            unanswered.create_task(_send(pool, request, due, timings))
    pool.close()
    return timings


async def _send(pool: ConnectionPool, request: bytes, due: float, timings: list[Timing]) -> None:
    delay = time.perf_counter() - due
    try:
        success = await pool.send(request) // 100 == _SUCCESS
    except (OSError, TimeoutError):
        success = False
    timings.append(Timing(time.perf_counter() - due, delay, success))
