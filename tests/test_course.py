"""An answer goes on without what is late, from what it has found, and nobody goes on behind its back."""

import asyncio
import threading
import time

import pytest

from recloop.serving.answering import Answering
from recloop.serving.deadline import Deadline, DeadlineConfig
from recloop.serving.stages import Stage

SOON = DeadlineConfig(seconds=0.2, state=0.2)


def answer(work, config: DeadlineConfig = SOON):
    return asyncio.run(Answering().in_time(Deadline.starts(config), work))


def test_what_was_found_before_a_late_stage_is_not_looked_for_again() -> None:
    asked, going_on = [], threading.Event()

    def state() -> str:
        asked.append("state")
        return "what ann did"

    def work(course):
        known = course.run(Stage.STATE, state, lambda: "nothing")
        scored = course.run(Stage.SCORE, lambda: going_on.wait(60), lambda: "popular")
        return known, scored

    made, course = answer(work)
    going_on.set()
    assert made == ("what ann did", "popular")
    assert course.degraded == [Stage.SCORE]
    assert asked == ["state"]


def test_a_thread_that_was_left_stops_at_its_next_stage() -> None:
    scored, going_on, ended = [], threading.Event(), threading.Event()

    def state() -> str:
        going_on.wait(60)
        return "too late"

    def work(course):
        try:
            known = course.run(Stage.STATE, state, lambda: "packaged")
            return course.run(Stage.SCORE, lambda: scored.append(known), lambda: None)
        finally:
            if known_late.is_set():
                ended.set()

    known_late = threading.Event()
    _, course = answer(work, DeadlineConfig(seconds=60, state=0.2))
    assert (scored, course.degraded) == (["packaged"], [Stage.STATE])
    known_late.set()
    going_on.set()
    assert ended.wait(60)
    assert scored == ["packaged"]


def test_a_stage_that_comes_too_late_is_not_begun() -> None:
    now = [0.0]
    deadline = Deadline(DeadlineConfig(seconds=1, state=60), 0.0, lambda: now[0])

    def state() -> str:
        now[0] = 0.95  # of one second, of which scores have nine tenths
        return "what ann did"

    def work(course):
        known = course.run(Stage.STATE, state, lambda: "nothing")
        return known, course.run(Stage.SCORE, lambda: "scores", lambda: "popular")

    made, course = asyncio.run(Answering().in_time(deadline, work))
    assert (made, course.degraded) == (("what ann did", "popular"), [Stage.SCORE])


def test_what_is_raised_beyond_the_stages_is_raised() -> None:
    def work(_course):
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        answer(work)


def test_answers_are_computed_one_after_another_and_wait_together() -> None:
    waiting, computing, most = threading.Barrier(4), [], []

    def compute() -> None:
        computing.append(1)
        most.append(len(computing))
        time.sleep(0.001)  # lets the others in, if they may
        computing.pop()

    def work(course):
        course.elsewhere(lambda: waiting.wait(60))
        compute()

    async def four() -> None:
        answering, config = Answering(), DeadlineConfig(seconds=60)
        await asyncio.gather(*(answering.in_time(Deadline.starts(config), work) for _ in range(4)))

    asyncio.run(four())
    assert most == [1, 1, 1, 1]


def test_who_hangs_does_not_keep_the_others_from_their_turn() -> None:
    hanging, going_on = threading.Event(), threading.Event()

    def hang(_course):
        hanging.set()
        return going_on.wait(60)

    async def one_beside_another() -> str:
        answering, config = Answering(), DeadlineConfig(seconds=60)
        first = asyncio.ensure_future(answering.in_time(Deadline.starts(config), hang))
        await asyncio.to_thread(hanging.wait, 60)
        made, _ = await answering.in_time(Deadline.starts(config), lambda _course: "made")
        going_on.set()
        await first
        return made

    assert asyncio.run(one_beside_another()) == "made"
