"""The course of one answer through its stages, each with the one before it to fall back on."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from recloop.logs import blame, get_log
from recloop.recommender.reranking import Judge, Logits
from recloop.serving.breaker import Breaker
from recloop.serving.deadline import Deadline
from recloop.serving.metrics import metrics
from recloop.serving.stages import Stage, watch
from recloop.serving.workers import Workers

Found = TypeVar("Found")
# Work of requests that run side by side; beyond, it waits, and the deadlines decide.
_STAGE_THREADS, _RANKER_THREADS = 16, 2

log = get_log("serving")


@dataclass(frozen=True)
class Machinery:
    """What the answers of one process share."""

    ranker_breaker: Breaker
    stages: Workers = field(default_factory=lambda: Workers("stage", _STAGE_THREADS))
    ranker: Workers = field(default_factory=lambda: Workers("ranker", _RANKER_THREADS))


class Course:
    """Of one answer. What is late or fails is left out and told; nothing of it is raised."""

    def __init__(self, machinery: Machinery, deadline: Deadline) -> None:
        self._machinery = machinery
        self._deadline = deadline
        self._degraded: dict[Stage, None] = {}
        self._telling = threading.Lock()

    @property
    def degraded(self) -> list[Stage]:
        """What the answer had to do without so far, in the order in which that was found."""
        with self._telling:
            return list(self._degraded)

    def run(self, stage: Stage, work: Callable[[], Found], otherwise: Callable[[], Found]) -> Found:
        """What a stage finds in its time, or what there is without it."""
        try:
            with watch(stage):
                return self._machinery.stages.run(work, self._deadline.left(stage))
        except Exception as error:  # noqa: BLE001 - whatever it is, there is an answer without it
            self._without(stage, blame(error))
            return otherwise()

    def judge(self, ask: Callable[[], Logits]) -> Logits | None:
        """The ranker's logits, if it is in time and was well lately."""
        breaker, left = self._machinery.ranker_breaker, self._deadline.left(Stage.RANKER)
        logits, why = None, "no time left"
        if left is None or left > 0:
            why = "left alone for a while"
            if breaker.allows():
                try:
                    with watch(Stage.RANKER):
                        logits = self._machinery.ranker.run(ask, left)
                except Exception as error:  # noqa: BLE001 - whatever it is, the list is there without it
                    why = blame(error)
                    breaker.failed()
                else:
                    breaker.succeeded()
        if logits is None:
            self._without(Stage.RANKER, why)
        return logits

    def last(self, work: Callable[[], list[Found]]) -> list[Found]:
        """What there is when scores fail; nothing where that fails as well."""
        try:
            with watch(Stage.POPULARITY):
                return work()
        except Exception as error:  # noqa: BLE001 - an empty list is an answer
            self._without(Stage.POPULARITY, blame(error))
            return []

    def _without(self, stage: Stage, why: str) -> None:
        with self._telling:
            if stage in self._degraded:
                return
            self._degraded[stage] = None
        metrics().fallbacks.labels(stage).inc()
        log.warning("degraded", stage=stage.value, why=why)


def no_judge(_ask: Callable[[], Logits]) -> None:
    """For requests that want no ranker."""


def judge_of(course: Course, *, wanted: bool) -> Judge:
    """How the ranker is asked for a request."""
    return course.judge if wanted else no_judge
