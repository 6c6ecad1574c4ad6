"""Thread pool of daemon threads.

A task that hangs occupies one thread. It delays neither a response nor the exit of the process,
which waits for the threads of a `concurrent.futures.ThreadPoolExecutor`.
"""

import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")
_Job = tuple["Future[Any]", Callable[[], Any]]


class DaemonThreadPool:
    """Pool of `count` daemon threads, which are started with the first task."""

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._starting = threading.Lock()
        self._started = False
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def submit(self, work: Callable[[], Result]) -> "Future[Result]":
        """Run `work` in a thread of the pool and return a future of its result or exception.

        A future that is cancelled before its work has begun never begins. `work` sees the context
        variables of the caller.
        """
        future: Future[Result] = Future()
        context = contextvars.copy_context()
        if not self._started:
            self._start()
        self._jobs.put((future, lambda: context.run(work)))
        return future

    def run(self, work: Callable[[], Result], seconds: float | None) -> Result:
        """Run `work` in a thread of the pool and return its result.

        Raises:
            TimeoutError: `work` took longer than `seconds`. Exceptions of `work` are passed on.
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
            except BaseException as error:  # noqa: BLE001 - raised by the future
                future.set_exception(error)
