"""Execution of requests in time: the event loop watches the thread that computes a response."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

from recloop.serving.execution.circuit_breaker import BreakerConfig, CircuitBreaker
from recloop.serving.execution.deadline import Deadline
from recloop.serving.execution.fair_lock import ComputeSlot, FairLock
from recloop.serving.execution.request_execution import RequestExecution
from recloop.serving.execution.scoring_stages import Stage
from recloop.serving.execution.thread_pool import DaemonThreadPool

Result = TypeVar("Result")
# Threads for first executions, for executions without a late stage, and for the ranker. Further
# requests wait in a queue, where their deadlines go on.
_THREADS, _RETRY_THREADS, _RANKER_THREADS = 4, 16, 2


class DeadlineExecutor:
    """Runs requests in the thread pools of this process, within their deadlines."""

    def __init__(self) -> None:
        self._first = DaemonThreadPool("answer", _THREADS)
        self._retries = DaemonThreadPool("answer-without", _RETRY_THREADS)
        self._ranker = DaemonThreadPool("ranker", _RANKER_THREADS)
        self._lock = FairLock()
        self._breaker = CircuitBreaker(BreakerConfig(), time.monotonic)

    async def run(
        self, deadline: Deadline, work: Callable[[RequestExecution], Result]
    ) -> tuple[Result, RequestExecution]:
        """Run `work`; whenever one of its stages is late, run it again without that stage.

        Returns:
            The result of `work` and the execution that produced it. Raises whatever `work` raises
            outside of its stages.
        """
        execution = RequestExecution(deadline, self._ranker, self._breaker, ComputeSlot(self._lock))
        pool = self._first
        while True:
            future = pool.submit(partial(execution.run, work))
            late = await _late_stage(execution, future)
            if late is None:
                return future.result(), execution
            execution, pool = execution.retry_without(late), self._retries


async def _late_stage(execution: RequestExecution, future: "Future[Result]") -> Stage | None:
    """Wait until the future is done (None) or one of its stages is late (that stage)."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    while not future.done():
        with suppress(TimeoutError):
            async with asyncio.timeout(execution.seconds_to_next_deadline()):
                await done.wait()
        late = None if future.done() else execution.late_stage()
        if late is not None:
            future.cancel()
            return late
    return None
