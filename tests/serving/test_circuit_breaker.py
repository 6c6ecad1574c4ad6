"""Circuit breaker and deadlines, with a clock that the tests set."""

import pytest

from recloop.config import ConfigError
from recloop.serving.execution.circuit_breaker import BreakerConfig, BreakerState, CircuitBreaker
from recloop.serving.execution.deadline import Deadline, DeadlineConfig
from recloop.serving.execution.scoring_stages import Stage
from recloop.settings import read_settings

DEADLINE = "RECLOOP_DEADLINE_MS"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock) -> CircuitBreaker:
    return CircuitBreaker(BreakerConfig(max_failures=3, pause_seconds=10), clock)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allow_call()
        breaker.record_failure()


def test_the_breaker_opens_after_consecutive_failures(breaker) -> None:
    fail(breaker, 2)
    assert breaker.state.value == "closed"
    fail(breaker, 1)
    assert breaker.state.value == "open"
    assert not breaker.allow_call()


def test_a_success_resets_the_count(breaker) -> None:
    fail(breaker, 2)
    assert breaker.allow_call()
    breaker.record_success()
    fail(breaker, 2)
    assert breaker.allow_call()


def test_after_the_pause_one_trial_is_allowed(breaker, clock) -> None:
    fail(breaker, 3)
    clock.now += 9.9
    assert not breaker.allow_call()
    clock.now += 0.1
    assert breaker.allow_call()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.allow_call()


def test_a_successful_trial_closes_the_breaker(breaker, clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    assert breaker.allow_call()
    breaker.record_success()
    assert breaker.state is BreakerState.CLOSED
    fail(breaker, 2)
    assert breaker.allow_call()


def test_a_failed_trial_opens_the_breaker_for_another_pause(breaker, clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker, 1)
    clock.now += 9.9
    assert not breaker.allow_call()
    clock.now += 0.1
    assert breaker.allow_call()


def test_each_stage_has_a_share_of_the_deadline(clock) -> None:
    deadline = Deadline.start(DeadlineConfig(seconds=1, state=1.5, ranker=0.8, score=0.9), clock)
    clock.now += 0.85
    assert deadline.seconds_left(Stage.STATE) == pytest.approx(0.65)
    assert deadline.seconds_left(Stage.RANKER) == pytest.approx(-0.05)
    assert deadline.seconds_left(Stage.SCORE) == pytest.approx(0.05)
    assert deadline.seconds_left(Stage.POPULARITY) is None
    assert Deadline.start(DeadlineConfig(), clock).seconds_left(Stage.SCORE) is None


@pytest.mark.parametrize(
    ("setting", "seconds"), [(None, 0.1), ("250", 0.25), ("0", None), ("", 0.1)]
)
def test_the_environment_sets_the_deadline(monkeypatch, setting, seconds) -> None:
    monkeypatch.delenv(DEADLINE, raising=False)
    if setting is not None:
        monkeypatch.setenv(DEADLINE, setting)
    assert DeadlineConfig.of_settings(read_settings()).seconds == seconds


@pytest.mark.parametrize("setting", ["soon", "-1", "nan", "inf"])
def test_an_invalid_deadline_is_refused(monkeypatch, setting) -> None:
    monkeypatch.setenv(DEADLINE, setting)
    with pytest.raises(ConfigError, match=DEADLINE):
        DeadlineConfig.of_settings(read_settings())
