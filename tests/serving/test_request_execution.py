"""A response continues without a late stage and keeps the results so far."""

import asyncio
import threading
import time

import pytest

from recloop.serving.execution import fair_lock
from recloop.serving.execution.deadline import Deadline, DeadlineConfig
from recloop.serving.execution.deadline_executor import DeadlineExecutor
from recloop.serving.execution.scoring_stages import Stage

SOON = DeadlineConfig(seconds=0.2, state=0.2)


def answer(work, config: DeadlineConfig = SOON):
    return asyncio.run(DeadlineExecutor().run(Deadline.start(config), work))


def test_results_before_a_late_stage_are_not_computed_again() -> None:
    calls, released = [], threading.Event()

    def state() -> str:
        calls.append("state")
        return "what ann did"

    def work(execution):
        history = execution.run_stage(Stage.STATE, state, lambda: "nothing")
        scored = execution.run_stage(Stage.SCORE, lambda: released.wait(60), lambda: "popular")
        return history, scored

    result, execution = answer(work)
    released.set()
    assert result == ("what ann did", "popular")
    assert execution.degraded == [Stage.SCORE]
    assert calls == ["state"]


def test_an_abandoned_execution_stops_at_its_next_stage() -> None:
    scored, released, ended = [], threading.Event(), threading.Event()

    def state() -> str:
        released.wait(60)
        return "too late"

    def work(execution):
        try:
            history = execution.run_stage(Stage.STATE, state, lambda: "packaged")
            return execution.run_stage(Stage.SCORE, lambda: scored.append(history), lambda: None)
        finally:
            if known_late.is_set():
                ended.set()

    known_late = threading.Event()
    _, execution = answer(work, DeadlineConfig(seconds=60, state=0.2))
    assert (scored, execution.degraded) == (["packaged"], [Stage.STATE])
    known_late.set()
    released.set()
    assert ended.wait(60)
    assert scored == ["packaged"]


def test_a_stage_whose_deadline_has_passed_is_not_started() -> None:
    now = [0.0]
    deadline = Deadline(DeadlineConfig(seconds=1, state=60), 0.0, lambda: now[0])

    def state() -> str:
        now[0] = 0.95  # scores may take 0.9 of one second
        return "what ann did"

    def work(execution):
        history = execution.run_stage(Stage.STATE, state, lambda: "nothing")
        return history, execution.run_stage(Stage.SCORE, lambda: "scores", lambda: "popular")

    result, execution = asyncio.run(DeadlineExecutor().run(deadline, work))
    assert (result, execution.degraded) == (("what ann did", "popular"), [Stage.SCORE])


def test_exceptions_outside_of_stages_are_raised() -> None:
    def work(_course):
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        answer(work)


def test_executions_compute_one_at_a_time_and_wait_together(monkeypatch) -> None:
    # On a busy machine, a thread may wait longer than the usual 20 ms.
    monkeypatch.setattr(fair_lock, "_ACQUIRE_SECONDS", 60)
    waiting, computing, most = threading.Barrier(4), [], []

    def compute() -> None:
        computing.append(1)
        most.append(len(computing))
        time.sleep(0.001)  # a thread that did not wait would compute now
        computing.pop()

    def work(execution):
        execution.run_outside_slot(lambda: waiting.wait(60))
        compute()

    async def four() -> None:
        executor, config = DeadlineExecutor(), DeadlineConfig(seconds=60)
        await asyncio.gather(*(executor.run(Deadline.start(config), work) for _ in range(4)))

    asyncio.run(four())
    assert most == [1, 1, 1, 1]


def test_an_execution_that_hangs_does_not_block_the_others() -> None:
    hanging, released = threading.Event(), threading.Event()

    def hang(_course):
        hanging.set()
        return released.wait(60)

    async def one_beside_another() -> str:
        executor, config = DeadlineExecutor(), DeadlineConfig(seconds=60)
        first = asyncio.ensure_future(executor.run(Deadline.start(config), hang))
        await asyncio.to_thread(hanging.wait, 60)
        result, _ = await executor.run(Deadline.start(config), lambda _course: "result")
        released.set()
        await first
        return result

    assert asyncio.run(one_beside_another()) == "result"
