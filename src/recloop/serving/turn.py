"""Whose turn it is to compute: side by side, threads only take the interpreter from each other."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds that one waits for another, who may hang, before going on out of turn.
_PATIENCE = 0.02


class Line:
    """A lock that is given to who has waited longest.

    A plain one is taken again by the thread that let it go, while those that wait have not woken up.
    """

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def acquire(self, seconds: float) -> bool:
        """Wait for it, at most so long; returns whether it is held now."""
        with self._changing:
            if not self._taken:
                self._taken = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=seconds):
            return True
        with self._changing:
            if called not in self._waiting:
                return True  # called in the last moment
            self._waiting.remove(called)
        return False

    def release(self) -> None:
        """To the next one, if there is one."""
        with self._changing:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class Turn:
    """Of one answer, among those in `line`. Thread-safe: who leaves an answer may end its turn."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._held: list[Line] = []

    def begin(self) -> None:
        """Wait for it, but not for long."""
        if self._line.acquire(_PATIENCE):
            self._held.append(self._line)

    def end(self) -> None:
        """Let the next one begin; nothing where it has ended."""
        try:
            self._held.pop().release()
        except IndexError:
            return

    def another(self) -> "Turn":
        """One more among the same."""
        return Turn(self._line)

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
