"""Whose turn it is to compute: side by side, threads only take the interpreter from each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds that one waits for another, who may hang, before going on out of turn.
_PATIENCE = 0.02


class Turn:
    """Of one answer, among those that share `lock`. Thread-safe: who leaves an answer may end its turn."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._held: list[threading.Lock] = []

    def begin(self) -> None:
        """Wait for it, but not for long."""
        if self._lock.acquire(timeout=_PATIENCE):
            self._held.append(self._lock)

    def end(self) -> None:
        """Let the next one begin; nothing where it has ended."""
        try:
            self._held.pop().release()
        except IndexError:
            return

    def another(self) -> "Turn":
        """One more among the same."""
        return Turn(self._lock)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """From beginning to end."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Others compute while this one waits for what is not computed here."""
        self.end()
        try:
            yield
        finally:
            self.begin()
