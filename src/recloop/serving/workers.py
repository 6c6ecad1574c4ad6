"""Threads of our own: what hangs holds one of them, and neither an answer nor an exit."""

import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Found = TypeVar("Found")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Workers:
    """Daemon threads, started when the first work comes."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._starting = threading.Lock()
        self._started = False
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def submit(self, work: Callable[[], Found]) -> "Future[Found]":
        """What `work` will return, or raise; not begun any more once it is cancelled.

        The caller's context variables are there in the thread.
        """
        future: Future[Found] = Future()
        context = contextvars.copy_context()
        if not self._started:
            self._start()
        self._jobs.put((future, lambda: context.run(work)))
        return future

    def run(self, work: Callable[[], Found], seconds: float | None) -> Found:
        """What `work` returns, or raises.

        Raises:
            TimeoutError: it took longer than `seconds`.
        """
        future = self.submit(work)
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
