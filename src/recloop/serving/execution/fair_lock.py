"""Fair lock, which lets one request compute at a time.

Under the GIL, concurrent threads that compute with NumPy only slow each other down.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds after which a thread computes without the lock, since the thread that holds it may hang.
_ACQUIRE_SECONDS = 0.02


class FairLock:
    """Lock that waiting threads acquire in the order of their arrival.

    A `threading.Lock` is often acquired again by the thread that has just released it, before a
    waiting thread has woken up.
    """

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._locked = False

    def __len__(self) -> int:
        """Return the number of waiting threads."""
        return len(self._waiting)

    def acquire(self, seconds: float) -> bool:
        """Wait for the lock, at most `seconds`.

        Returns:
            Whether the caller holds the lock now.
        """
        with self._changing:
            if not self._locked:
                self._locked = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=seconds):
            return True
        with self._changing:
            if called not in self._waiting:
                return True  # the lock was passed to this thread just after its time had run out
            self._waiting.remove(called)
        return False

    def release(self) -> None:
        """Pass the lock to the thread that has waited longest, or free it."""
        with self._changing:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._locked = False


class ComputeSlot:
    """Right of one request to compute, which it gets through a fair lock.

    Thread-safe: `release` may be called from another thread, when the request is abandoned.
    """

    def __init__(self, lock: FairLock) -> None:
        self._lock = lock
        self._held: list[FairLock] = []

    def acquire(self) -> None:
        """Wait for the lock for a short time. Go on without it if it is not released."""
        if self._lock.acquire(_ACQUIRE_SECONDS):
            self._held.append(self._lock)

    def release(self) -> None:
        """Release the lock, if this slot holds it."""
        try:
            self._held.pop().release()
        except IndexError:
            return

    def new_slot(self) -> "ComputeSlot":
        """Return another slot of the same lock."""
        return ComputeSlot(self._lock)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the slot while the context is active."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    @contextmanager
    def lent_out(self) -> Iterator[None]:
        """Release the slot while the context is active, for work that waits for another server."""
        self.release()
        try:
            yield
        finally:
            self.acquire()
