"""A circuit breaker: what fails again and again is left alone for a while, then tried once."""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from recloop.config import Settings


class BreakerState(StrEnum):
    """Closed: asked. Open: left alone. Half-open: one is asked, and the others wait for how that ends."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerConfig(Settings):
    """Opens after `failures` in a row; is tried again after `pause` seconds."""

    failures: Annotated[int, Field(ge=1)] = 5
    pause: Annotated[float, Field(gt=0)] = 10.0


class Breaker:
    """Thread-safe. Whoever is allowed in says how it ended, by `succeeded` or `failed`.

    `clock` is in seconds, of any origin (Nygard 2007, Release It!).
    """

    def __init__(self, config: BreakerConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._opened = 0.0

    @property
    def state(self) -> BreakerState:
        """As it was left by the last who asked or told."""
        return self._state

    def allows(self) -> bool:
        """Whether to ask now; after the pause, only the first who wants to know may."""
        with self._lock:
            if self._state is BreakerState.OPEN and self._rested():
                self._state = BreakerState.HALF_OPEN
                return True
            return self._state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """It works."""
        with self._lock:
            self._failures = 0
            self._state = BreakerState.CLOSED

    def failed(self) -> None:
        """It failed, or was late."""
        with self._lock:
            self._failures += 1
            tried = self._state is BreakerState.HALF_OPEN
            if tried or self._failures >= self._config.failures:
                self._state = BreakerState.OPEN
                self._opened = self._clock()

    def _rested(self) -> bool:
        return self._clock() - self._opened >= self._config.pause
