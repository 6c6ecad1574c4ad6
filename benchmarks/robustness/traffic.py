"""A steady stream of people: each does something, and then asks what is next."""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.tiny import IDS

_CALLERS = 16
# Let go before the server does, which waits for five seconds.
_LIMITS = httpx.Limits(keepalive_expiry=2)
EVENTS, RECOMMEND = "/v1/events", "/v1/recommend"
# A list that does not know what was taken in just before.
STALE = "stale"
# About so many, each of whom takes the same film again and again.
_PEOPLE = 5_000
Answered = Callable[[str, str, float], None]


def failures(outcomes: Counter[str]) -> int:
    """How many requests were not answered with 200, or with a stale list."""
    return sum(count for name, count in outcomes.items() if not name.endswith(" 200"))


@dataclass
class Traffic:
    """At `rate` requests a second, half of them events; `answered` is told path, outcome and seconds.

    The events are with `films`, which the model that serves has. `acknowledged` are the ids of the events
    that were answered with 2xx; `noted` counts the versions that lists came from and the stages that they
    had to do without. Requests are due at fixed moments and timed from them: waiting for a free caller is
    part of what a request takes.
    """

    address: str
    rate: float
    answered: Answered = lambda _path, _outcome, _seconds: None
    films: Sequence[str] = tuple(IDS)
    acknowledged: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def flowing(self):  # noqa: ANN201 - a context
        """Traffic until the context ends."""
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._run)
            try:
                yield self
            finally:
                self._stop.set()
                running.result()

    def reset(self) -> Counter[str]:
        """The outcomes since the last call."""
        with self._lock:
            found, self.outcomes = self.outcomes, Counter()
        return found

    def notes(self) -> Counter[str]:
        """What was noted since the last call."""
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
                pool.submit(self._person, client, number, due)
                number += 1

    def _person(self, client: httpx.Client, number: int, due: float) -> None:
        people = len(self.films) * max(1, _PEOPLE // len(self.films))
        user, film = f"person-{number % people}", self.films[number % len(self.films)]
        event = {"event_id": uuid.uuid4().hex, "user_id": user, "item_id": film}
        event |= {"event": "click", "timestamp": "2024-01-01T00:00:00Z"}
        taken = self._ask(client, EVENTS, {"events": [event]}, due)
        if taken:
            self.acknowledged.add(event["event_id"])
        listed = self._ask(client, RECOMMEND, {"user_id": user}, time.perf_counter())
        if listed:
            self._note(json.loads(listed))
        if taken and listed and f'"{film}"' in listed:
            self._count(RECOMMEND, STALE)

    def _ask(
        self, client: httpx.Client, path: str, body: dict[str, object], due: float
    ) -> str | None:
        """The answer where there was one."""
        found = None
        try:
            answer = client.post(path, json=body)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        else:
            outcome = str(answer.status_code)
            found = answer.text if answer.is_success else None
        self._count(path, outcome)
        self.answered(path, outcome, time.perf_counter() - due)
        return found

    def _note(self, answer: dict[str, Any]) -> None:
        with self._lock:
            self.noted[f"model {answer['model_version']}"] += 1
            self.noted.update(f"without {stage}" for stage in answer["degraded"])

    def _count(self, path: str, outcome: str) -> None:
        with self._lock:
            self.outcomes[f"{path} {outcome}"] += 1
