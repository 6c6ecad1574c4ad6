"""Threads in which work may be waited for no longer than it is worth."""

import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Found = TypeVar("Found")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Workers:
    """Daemon threads, started when the first work comes: what hangs holds one of them, and no exit."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._starting = threading.Lock()
        self._started = False
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def run(self, work: Callable[[], Found], seconds: float | None) -> Found:
        """What `work` returns, or raises; without a limit, in the caller's own thread.

        The caller's context variables are there in the thread. Work that nobody waits for any more is
        not begun.

        Raises:
            TimeoutError: it took longer than `seconds`, or none were left.
        """
        if seconds is None:
            return work()
        if seconds <= 0:
            raise TimeoutError
        future: Future[Found] = Future()
        context = contextvars.copy_context()
        self._start()
        self._jobs.put((future, lambda: context.run(work)))
        try:
            return future.result(seconds)
        finally:
            future.cancel()

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                self._started = True
                for number in range(self._count):
                    name = f"{self._name}-{number}"
                    threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            future, work = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - for whoever waits
                future.set_exception(error)
