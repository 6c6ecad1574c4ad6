"""The course of one answer through its stages, each with the one before it to fall back on."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from recloop.logs import blame, get_log
from recloop.recommender.reranking import Judge, Logits
from recloop.serving.breaker import Breaker
from recloop.serving.deadline import Deadline
from recloop.serving.metrics import metrics
from recloop.serving.stages import Stage, watch
from recloop.serving.turn import Turn
from recloop.serving.workers import Workers

Found = TypeVar("Found")

log = get_log("serving")


class Course:
    """Of one answer, in one thread. What is late or fails is left out and told; nothing of it is raised.

    Whoever waits in another thread asks `late`, and `without` what is late has the course done anew: it
    goes on from what was found before. The one that was left stops at its next stage.
    """

    def __init__(self, deadline: Deadline, ranker: Workers, breaker: Breaker, turn: Turn) -> None:
        self._deadline = deadline
        self._ranker = ranker
        self._breaker = breaker
        self._turn = turn
        self._at = Stage.STATE
        self._found: dict[Stage, Any] = {}
        self._degraded: dict[Stage, None] = {}
        self._left = False

    @property
    def degraded(self) -> list[Stage]:
        """What the answer had to do without, in the order in which that was found."""
        return list(self._degraded)

    def late(self) -> Stage | None:
        """The stage that is not done when it must be."""
        left = self._deadline.left(self._at)
        return self._at if left is not None and left <= 0 else None

    def patience(self) -> float | None:
        """Seconds until it is worth asking again whether a stage is late; None: it never is."""
        left = (self._deadline.left(stage) for stage in (Stage.STATE, Stage.SCORE))
        return min((each for each in left if each is not None and each > 0), default=None)

    def without(self, stage: Stage) -> "Course":
        """The same from here on, but for a stage that is not waited for any more."""
        self._left = True
        self._turn.end()
        course = Course(self._deadline, self._ranker, self._breaker, self._turn.another())
        course._found = dict(self._found)
        course._degraded = dict(self._degraded)
        if stage not in course._found:
            course._without(stage, "late")
        return course

    def through(self, work: Callable[["Course"], Found]) -> Found:
        """What `work` makes of this course, in its turn."""
        with self._turn.taken():
            return work(self)

    def elsewhere(self, work: Callable[[], Found]) -> Found:
        """What `work` returns that waits for another server, while others have their turn."""
        with self._turn.lent():
            return work()

    def run(self, stage: Stage, work: Callable[[], Found], otherwise: Callable[[], Found]) -> Found:
        """What a stage finds, or what there is without it. Raises CancelledError once it was left."""
        if self._left:
            raise CancelledError
        if stage not in self._found:
            self._found[stage] = self._find(stage, work, otherwise)
        found: Found = self._found[stage]
        return found

    def judge(self, ask: Callable[[], Logits]) -> Logits | None:
        """The ranker's logits, if it is in time and was well lately."""
        left = self._deadline.left(Stage.RANKER)
        logits, why = None, "no time left"
        if left is None or left > 0:
            why = "left alone for a while"
            if self._breaker.allows():
                try:
                    with watch(Stage.RANKER):
                        logits = self.elsewhere(lambda: self._ranker.run(ask, left))
                except Exception as error:  # noqa: BLE001 - whatever it is, the list is there without it
                    why = blame(error)
                    self._breaker.failed()
                else:
                    self._breaker.succeeded()
        if logits is None:
            self._without(Stage.RANKER, why)
        return logits

    def last(self, work: Callable[[], list[Found]]) -> list[Found]:
        """What there is when scores fail; nothing where that fails as well."""
        return self.run(Stage.POPULARITY, work, list)

    def _find(
        self, stage: Stage, work: Callable[[], Found], otherwise: Callable[[], Found]
    ) -> Found:
        self._at = stage
        if stage in self._degraded:
            return otherwise()
        if self.late():
            self._without(stage, "no time left")
            return otherwise()
        try:
            with watch(stage):
                return work()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is an answer without it
            self._without(stage, blame(error))
        return otherwise()

    def _without(self, stage: Stage, why: str) -> None:
        if self._left or stage in self._degraded:
            return
        self._degraded[stage] = None
        metrics().fallbacks.labels(stage).inc()
        log.warning("degraded", stage=stage.value, why=why)


def no_judge(_ask: Callable[[], Logits]) -> None:
    """For requests that want no ranker."""


def judge_of(course: Course, *, wanted: bool) -> Judge:
    """How the ranker is asked for a request."""
    return course.judge if wanted else no_judge
