"""Answers in time: the event loop watches the thread in which an answer is made."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

from recloop.serving.breaker import Breaker, BreakerConfig
from recloop.serving.course import Course
from recloop.serving.deadline import Deadline
from recloop.serving.stages import Stage
from recloop.serving.turn import Line, Turn
from recloop.serving.workers import Workers

Found = TypeVar("Found")
# Answers that are made side by side, and those that go on without a stage; beyond, they wait, and the
# deadlines decide.
_THREADS, _THREADS_WITHOUT, _RANKER_THREADS = 4, 16, 2


class Answering:
    """The threads of one process, and what is known of its ranker's health."""

    def __init__(self) -> None:
        self._first = Workers("answer", _THREADS)
        self._again = Workers("answer-without", _THREADS_WITHOUT)
        self._ranker = Workers("ranker", _RANKER_THREADS)
        self._computing = Line()
        self._breaker = Breaker(BreakerConfig(), time.monotonic)

    async def in_time(
        self, deadline: Deadline, work: Callable[[Course], Found]
    ) -> tuple[Found, Course]:
        """What `work` makes of its course; anew, without what is late, until there is an answer.

        Raises what `work` raises beyond its stages.
        """
        course = Course(deadline, self._ranker, self._breaker, Turn(self._computing))
        workers = self._first
        while True:
            future = workers.submit(partial(course.through, work))
            late = await _late(course, future)
            if late is None:
                return future.result(), course
            course, workers = course.without(late), self._again


async def _late(course: Course, made: "Future[Found]") -> Stage | None:
    """The first stage that is late, None once the answer is made."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    made.add_done_callback(lambda _: loop.call_soon_threadsafe(woken.set))
    while not made.done():
        with suppress(TimeoutError):
            async with asyncio.timeout(course.patience()):
                await woken.wait()
        late = None if made.done() else course.late()
        if late is not None:
            made.cancel()
            return late
    return None
