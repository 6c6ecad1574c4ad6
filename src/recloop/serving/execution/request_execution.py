"""Execution of one request in stages, each with a fallback."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from recloop.logs import error_location, get_log
from recloop.recommender.request import RecommendationHooks
from recloop.recommender.reranking import Logits
from recloop.serving.execution.circuit_breaker import CircuitBreaker
from recloop.serving.execution.deadline import Deadline
from recloop.serving.execution.fair_lock import ComputeSlot
from recloop.serving.execution.scoring_stages import Stage, measure_stage
from recloop.serving.execution.thread_pool import DaemonThreadPool
from recloop.serving.telemetry.prometheus import metrics

Result = TypeVar("Result")

log = get_log("serving")


class RequestExecution:
    """Runs the stages of one request in one thread.

    A stage that fails or is late is replaced by its fallback and listed in `degraded`; its
    exception is not raised. The event loop checks `late_stage` from another thread. If a stage is
    late, it starts a second execution by `retry_without`, which takes over the results so far; the
    first one is abandoned and stops at its next stage.
    """

    def __init__(
        self,
        deadline: Deadline,
        ranker: DaemonThreadPool,
        breaker: CircuitBreaker,
        slot: ComputeSlot,
    ) -> None:
        self._deadline = deadline
        self._ranker = ranker
        self._breaker = breaker
        self._slot = slot
        self._current = Stage.STATE
        self._results: dict[Stage, Any] = {}
        self._degraded: dict[Stage, None] = {}
        self._abandoned = False

    @property
    def degraded(self) -> list[Stage]:
        """Return the stages that were replaced by a fallback, in the order of the replacements."""
        return list(self._degraded)

    def late_stage(self) -> Stage | None:
        """Return the current stage if its deadline has passed."""
        left = self._deadline.seconds_left(self._current)
        return self._current if left is not None and left <= 0 else None

    def seconds_to_next_deadline(self) -> float | None:
        """Return the seconds until a stage can next become late, None if that is never."""
        left = (self._deadline.seconds_left(stage) for stage in (Stage.STATE, Stage.SCORE))
        return min((each for each in left if each is not None and each > 0), default=None)

    def retry_without(self, stage: Stage) -> "RequestExecution":
        """Abandon this execution and return one that continues without a late stage."""
        self._abandoned = True
        self._slot.release()
        retry = RequestExecution(self._deadline, self._ranker, self._breaker, self._slot.new_slot())
        retry._results = dict(self._results)
        retry._degraded = dict(self._degraded)
        if stage not in retry._results:
            retry._record_degraded(stage, "late")
        return retry

    def run(self, work: Callable[["RequestExecution"], Result]) -> Result:
        """Run `work` on this execution while the compute slot is held."""
        with self._slot.held():
            return work(self)

    def run_outside_slot(self, work: Callable[[], Result]) -> Result:
        """Run `work`, which waits for another server, while other requests may compute."""
        with self._slot.lent_out():
            return work()

    def run_stage(
        self, stage: Stage, work: Callable[[], Result], fallback: Callable[[], Result]
    ) -> Result:
        """Return the result of a stage, or of its fallback if it fails or has no time left.

        Raises:
            CancelledError: This execution was abandoned.
        """
        if self._abandoned:
            raise CancelledError
        if stage not in self._results:
            self._results[stage] = self._compute(stage, work, fallback)
        result: Result = self._results[stage]
        return result

    def call_ranker(self, get_logits: Callable[[], Logits]) -> Logits | None:
        """Return the ranker's logits, shape `(candidates,)`.

        None if the ranker fails or is late, or if its circuit breaker is open.
        """
        left = self._deadline.seconds_left(Stage.RANKER)
        logits, reason = None, "no time left"
        if left is None or left > 0:
            reason = "circuit breaker open"
            if self._breaker.allow_call():
                try:
                    with measure_stage(Stage.RANKER):
                        logits = self.run_outside_slot(lambda: self._ranker.run(get_logits, left))
                except Exception as error:  # noqa: BLE001 - the list is served without the ranker
                    reason = error_location(error)
                    self._breaker.record_failure()
                else:
                    self._breaker.record_success()
        if logits is None:
            self._record_degraded(Stage.RANKER, reason)
        return logits

    def popularity_fallback(self, work: Callable[[], list[Result]]) -> list[Result]:
        """Run the fallback of scoring, whose own fallback is an empty list."""
        return self.run_stage(Stage.POPULARITY, work, list)

    def hooks(self, *, ranker: bool) -> RecommendationHooks:
        """Return the recommender's hooks for this execution, with or without the ranker."""
        return RecommendationHooks(
            call_ranker=self.call_ranker if ranker else _skip_ranker, measure=measure_stage
        )

    def _compute(
        self, stage: Stage, work: Callable[[], Result], fallback: Callable[[], Result]
    ) -> Result:
        self._current = stage
        if stage in self._degraded:
            return fallback()
        if self.late_stage():
            self._record_degraded(stage, "no time left")
            return fallback()
        try:
            with measure_stage(stage):
                return work()
        except Exception as error:  # noqa: BLE001 - the fallback answers instead
            self._record_degraded(stage, error_location(error))
        return fallback()

    def _record_degraded(self, stage: Stage, reason: str) -> None:
        if self._abandoned or stage in self._degraded:
            return
        self._degraded[stage] = None
        metrics().fallbacks.labels(stage).inc()
        log.warning("degraded", stage=stage.value, why=reason)


def _skip_ranker(_get_logits: Callable[[], Logits]) -> None:
    return None
