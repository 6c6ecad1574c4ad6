"""Circuit breaker, which stops calls to a component that fails again and again.

Reference: M. Nygard, Release It! Design and Deploy Production-Ready Software, 2007.
"""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from recloop.config import ConfigModel


class BreakerState(StrEnum):
    """State of a circuit breaker.

    Closed: calls are allowed. Open: no calls are allowed. Half-open: one trial call is running, and
    no other call is allowed until it ends.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerConfig(ConfigModel):
    """Settings of a circuit breaker."""

    max_failures: Annotated[int, Field(ge=1)] = 5
    """Consecutive failures after which the breaker opens."""
    pause_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds after which an open breaker allows a trial call."""


class CircuitBreaker:
    """Circuit breaker, which opens after consecutive failures and closes after a successful trial.

    After each call that `allow_call` allows, the caller reports the outcome by `record_success` or
    `record_failure`. Thread-safe.

    Args:
        config: Settings.
        clock: Function that returns the time in seconds, from any origin.

    >>> breaker = CircuitBreaker(BreakerConfig(max_failures=2), clock=lambda: 0.0)
    >>> breaker.record_failure()
    >>> breaker.allow_call()
    True
    >>> breaker.record_failure()
    >>> breaker.allow_call()
    False
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
        """Return the state after the last call of a method."""
        return self._state

    def allow_call(self) -> bool:
        """Return whether a call is allowed now.

        After the pause, only the first caller is allowed, as a trial.
        """
        with self._lock:
            if self._state is BreakerState.OPEN and self._pause_is_over():
                self._state = BreakerState.HALF_OPEN
                return True
            return self._state is BreakerState.CLOSED

    def record_success(self) -> None:
        """Record a call that succeeded, and close the breaker."""
        with self._lock:
            self._failures = 0
            self._state = BreakerState.CLOSED

    def record_failure(self) -> None:
        """Record a call that failed or was late. The breaker opens if it was one too many."""
        with self._lock:
            self._failures += 1
            was_trial = self._state is BreakerState.HALF_OPEN
            if was_trial or self._failures >= self._config.max_failures:
                self._state = BreakerState.OPEN
                self._opened = self._clock()

    def _pause_is_over(self) -> bool:
        return self._clock() - self._opened >= self._config.pause_seconds
