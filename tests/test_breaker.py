"""The circuit breaker and the deadline, by a clock that is set by hand."""

import pytest

from recloop.config import ConfigError
from recloop.serving.breaker import Breaker, BreakerConfig, BreakerState
from recloop.serving.deadline import VARIABLE, Deadline, DeadlineConfig
from recloop.serving.stages import Stage


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock) -> Breaker:
    return Breaker(BreakerConfig(failures=3, pause=10), clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allows()
        breaker.failed()


def test_it_opens_after_failures_in_a_row(breaker) -> None:
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allows()


def test_a_success_in_between_starts_the_count_anew(breaker) -> None:
    fail(breaker, 2)
    assert breaker.allows()
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.allows()


def test_after_the_pause_one_may_try_and_the_others_wait(breaker, clock) -> None:
    fail(breaker, 3)
    clock.now += 9.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.allows()


def test_a_trial_that_succeeds_closes_it(breaker, clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    fail(breaker, 2)
    assert breaker.allows()


def test_a_trial_that_fails_opens_it_for_another_pause(breaker, clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker, 1)
    clock.now += 9.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()


def test_each_stage_has_its_share_of_the_time_and_the_store_its_own(clock) -> None:
    deadline = Deadline.starts(DeadlineConfig(seconds=1, state=1.5, ranker=0.8, score=0.9), clock)
    clock.now += 0.85
    assert deadline.left(Stage.STATE) == pytest.approx(0.65)
    assert deadline.left(Stage.RANKER) == pytest.approx(-0.05)
    assert deadline.left(Stage.SCORE) == pytest.approx(0.05)
    assert deadline.left(Stage.POPULARITY) is None
    assert Deadline.starts(DeadlineConfig(), clock).left(Stage.SCORE) is None


@pytest.mark.parametrize(("told", "seconds"), [(None, 0.1), ("250", 0.25), ("0", None), ("", 0.1)])
def test_the_environment_says_how_long(monkeypatch, told, seconds) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if told is not None:
        monkeypatch.setenv(VARIABLE, told)
    assert DeadlineConfig.from_environment().seconds == seconds


@pytest.mark.parametrize("told", ["soon", "-1", "nan", "inf"])
def test_what_is_no_time_is_refused(monkeypatch, told) -> None:
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(ConfigError, match=VARIABLE):
        DeadlineConfig.from_environment()
