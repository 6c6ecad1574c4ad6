"""Open-loop load: requests leave at a constant rate, whether or not earlier ones have come back.

A latency runs from the moment at which a request was due, so that a service that stalls cannot slow
down its own measurement (coordinated omission, Tene 2013).
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
from wire import Wire

_FINE = 2  # of a status, its hundreds


@dataclass(frozen=True)
class Call:
    """One request: a path, and a body of JSON."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """Seconds from when it was due to its last byte, by how much it left late, and whether it was a 2xx."""

    seconds: float
    late: float
    fine: bool


def offer(url: str, calls: Iterator[Call], rate: float, seconds: float) -> list[Answered]:
    """Send `rate` calls a second for `seconds`; returns when all have come back or timed out."""
    # A collection of this process's garbage would be taken for a slow service.
    gc.collect()
    gc.disable()
    try:
        # epoll waits for whole milliseconds, which is as long as some answers take; select does not.
        with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
        ) as runner:
            return runner.run(_offer(url, islice(calls, round(rate * seconds)), rate))
    finally:
        gc.enable()


def summary(answers: list[Answered], rate: float) -> dict[str, Any]:
    """Percentiles in milliseconds, failures among them; `late_p99_ms` is the generator's own delay."""
    seconds = np.array([answer.seconds for answer in answers])
    late = np.array([answer.late for answer in answers])
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99]) * 1e3
    errors = sum(not answer.fine for answer in answers)
    return {
        "rate": rate,
        "requests": len(answers),
        "errors": errors,
        "error_rate": errors / len(answers),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
        "late_p99_ms": round(float(np.percentile(late, 99) * 1e3), 2),
    }


async def _offer(url: str, calls: Iterator[Call], rate: float) -> list[Answered]:
    wire, answers = Wire(url), list[Answered]()
    # What is written before the first is due takes no time from the service.
    told = [wire.rendered(call.path, json.dumps(call.body).encode()) for call in calls]
    async with asyncio.TaskGroup() as waiting:
        started = time.perf_counter()
        for number, request in enumerate(told):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            waiting.create_task(_send(wire, request, due, answers))
    wire.close()
    return answers


async def _send(wire: Wire, request: bytes, due: float, answers: list[Answered]) -> None:
    late = time.perf_counter() - due
    try:
        fine = await wire.ask(request) // 100 == _FINE
    except (OSError, TimeoutError):
        fine = False
    answers.append(Answered(time.perf_counter() - due, late, fine))
