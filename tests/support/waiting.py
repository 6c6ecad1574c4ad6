"""Waiting for a condition that another thread or process will make true."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Call `condition` until it returns a true value.

    Raises:
        AssertionError: The condition did not become true within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition is not true after {seconds} s"
        time.sleep(0.01)
