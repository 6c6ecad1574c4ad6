"""Steady traffic: each user sends an event and then requests recommendations."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tests.support.tiny_model import IDS

_CALLERS = 16
# Idle connections are closed before the server closes them, which it does after five seconds.
_LIMITS = httpx.Limits(keepalive_expiry=2)
EVENTS, RECOMMEND = "/v1/events", "/v1/recommend"
# Outcome of a list that ignores the event sent just before.
STALE = "stale"
# Approximate number of users, each of whom clicks the same film again and again.
_USERS = 5_000
OnResponse = Callable[[str, str, float], None]


def failures(outcomes: Counter[str]) -> int:
    """Count the requests that did not get status 200, or got a stale list."""
    return sum(count for name, count in outcomes.items() if not name.endswith(" 200"))


@dataclass
class Traffic:
    """Traffic at `rate` requests per second, half of them events.

    `on_response` is called with path, outcome and seconds of each request. `films` are items of the
    served model. `acknowledged` contains the ids of the events that were answered with 2xx. `noted`
    counts the model versions of the lists, and the stages that were left out of them. Latency is
    measured from the time at which a request was due, so waiting for a free thread is included.
    """

    address: str
    rate: float
    on_response: OnResponse = lambda _path, _outcome, _seconds: None
    films: Sequence[str] = tuple(IDS)
    acknowledged: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Send traffic until the context ends."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._run)
            try:
                yield self
            finally:
                self._stop.set()
                running.result()

    def reset(self) -> Counter[str]:
        """Return the outcomes since the last call."""
        with self._lock:
            found, self.outcomes = self.outcomes, Counter()
        return found

    def notes(self) -> Counter[str]:
        """Return the counts of versions and left-out stages since the last call."""
        with self._lock:
            found, self.noted = self.noted, Counter()
        return found

    def _run(self) -> None:
        start, number = time.perf_counter(), 0
        client = httpx.Client(base_url=self.address, timeout=30, limits=_LIMITS)
        with client, ThreadPoolExecutor(_CALLERS) as pool:
            while not self._stop.is_set():
                due = start + number * 2 / self.rate
                self._stop.wait(max(0.0, due - time.perf_counter()))
                pool.submit(self._send_pair, client, number, due)
                number += 1

    def _send_pair(self, client: httpx.Client, number: int, due: float) -> None:
        users = len(self.films) * max(1, _USERS // len(self.films))
        user, film = f"person-{number % users}", self.films[number % len(self.films)]
        event = {"event_id": uuid.uuid4().hex, "user_id": user, "item_id": film}
        event |= {"event": "click", "timestamp": "2024-01-01T00:00:00Z"}
        accepted = self._send(client, EVENTS, {"events": [event]}, due)
        if accepted:
            self.acknowledged.add(event["event_id"])
        listed = self._send(client, RECOMMEND, {"user_id": user}, time.perf_counter())
        if listed:
            self._note(json.loads(listed))
        if accepted and listed and f'"{film}"' in listed:
            self._count(RECOMMEND, STALE)

    def _send(
        self, client: httpx.Client, path: str, body: dict[str, object], due: float
    ) -> str | None:
        """Send one request and return the text of a successful response, otherwise None."""
        found = None
        try:
            answer = client.post(path, json=body)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        else:
            outcome = str(answer.status_code)
            found = answer.text if answer.is_success else None
        self._count(path, outcome)
        self.on_response(path, outcome, time.perf_counter() - due)
        return found

    def _note(self, answer: dict[str, Any]) -> None:
        with self._lock:
            self.noted[f"model {answer['model_version']}"] += 1
            self.noted.update(f"without {stage}" for stage in answer["degraded"])

    def _count(self, path: str, outcome: str) -> None:
        with self._lock:
            self.outcomes[f"{path} {outcome}"] += 1
