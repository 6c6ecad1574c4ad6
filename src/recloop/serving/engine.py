"""What stands behind the API: the serving model, swapped while it runs, and the event store."""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from recloop.data.live import LiveItem
from recloop.logs import blame, get_log
from recloop.recommender.recommender import RankedItem, Request
from recloop.recommender.state import UserState
from recloop.registry.champion import Champion, read_champion
from recloop.registry.store import Registry
from recloop.serving.api import RecommendRequest
from recloop.serving.breaker import Breaker, BreakerConfig
from recloop.serving.course import Course, Machinery, judge_of
from recloop.serving.deadline import Deadline, DeadlineConfig
from recloop.serving.erasures import KnownErasures
from recloop.serving.live import LiveModel, Serving
from recloop.serving.policy import ServingPolicy
from recloop.serving.prepare import prepared
from recloop.serving.shaping import Shaping
from recloop.serving.stages import Stage, watch
from recloop.store.events import EventStore, ServedList, StoredEvent
from recloop.store.items import ItemStore
from recloop.store.outcomes import Outcomes

# How many of a user's newest events, impressions not counted, a request looks at.
_RECENT_EVENTS = 5_000
# How long answers are gathered before they are logged together: a commit costs as much as an answer.
_GATHER_SECONDS = 0.1

log = get_log("serving")


class NoModelError(RuntimeError):
    """Nothing has been promoted yet."""


class Situation(NamedTuple):
    """What serves, the number of the user's last erasure, and what is known of the user."""

    serving: Serving
    erased: int
    state: UserState


class Answer(NamedTuple):
    """A list as it is logged, its items, and the stages that it had to do without."""

    served: ServedList
    items: list[RankedItem]
    degraded: list[Stage]


class Engine:
    """Thread-safe. `start` loads the champion and follows pointer and items until `stop`.

    `loaded` is told of every version that begins to serve.
    """

    def __init__(
        self,
        registry: Registry,
        pointer: Path,
        store: EventStore,
        poll_seconds: float,
        policy: ServingPolicy | None = None,
        deadlines: DeadlineConfig | None = None,
        loaded: Callable[[str], None] = lambda _version: None,
    ) -> None:
        self._registry = registry
        self._pointer = pointer
        self._store = store
        self._poll = poll_seconds
        self._shaping = Shaping(policy or ServingPolicy(), Outcomes(store.engine))
        self._loaded = loaded
        self.deadlines = deadlines or DeadlineConfig()
        self._machinery = Machinery(Breaker(BreakerConfig(), time.monotonic))
        self.erasures = KnownErasures(store.personal)
        self._items = ItemStore(store.engine)
        self.live = LiveModel(self._items)
        self._champion: Champion | None = None
        self._refused: Champion | None = None
        self._stopping = threading.Event()
        self._answers: queue.SimpleQueue[ServedList | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._follow, name="follow-champion", daemon=True),
            threading.Thread(target=self._write_answers, name="write-answers", daemon=True),
            threading.Thread(target=self.live.follow, name="follow-items", daemon=True),
        ]

    def start(self) -> None:
        """Load what there is, and go on looking."""
        self.refresh()
        self.erasures.follow()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write what was answered and let go."""
        self._stopping.set()
        self._answers.put(None)
        self.live.stop()
        for thread in self._threads:
            thread.join(timeout=10)
        self._store.close()

    @property
    def version(self) -> str | None:
        """The version that answers now."""
        return self.live.version

    @property
    def serving(self) -> Serving | None:
        """The model that answers now."""
        return self.live.current()

    @property
    def registry(self) -> Registry:
        """Every packaged model."""
        return self._registry

    @property
    def store(self) -> EventStore:
        """Events and served lists."""
        return self._store

    def refresh(self) -> None:
        """Load the champion where it is not what serves; a bad one is refused and the old one stays.

        Raises:
            SQLAlchemyError: the items cannot be read right now, and the old one stays.
        """
        champion = read_champion(self._pointer)
        if champion is None or champion in {self._champion, self._refused}:
            return
        try:
            self.live.swap(champion.version, prepared(self._registry.load(champion.version)))
            self._loaded(champion.version)
        except SQLAlchemyError:
            raise  # of the store, not of the model: to be tried again
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the old one serves on
            self._refused = champion
            log.error("model refused", error=blame(error), still_serving=self.version)
            return
        self._champion = champion
        log.info("model loaded", version=champion.version)

    def recommend(self, asked: RecommendRequest, deadline: Deadline | None = None) -> Answer:
        """Answer in time, with what there is by then, and log what was answered.

        Raises:
            NoModelError: nothing has been promoted yet.
            UnknownArmError: the request asks for an arm that the experiment does not have.
        """
        course = Course(self._machinery, deadline or Deadline.starts(self.deadlines))
        request_id = uuid.uuid4().hex
        arm, shape = self._shaping.of(asked, request_id)
        with watch(Stage.TOTAL):
            serving, erased, state = self._situation(course, asked.user_id)
            session = [
                (did.item_id, did.event.value, did.timestamp.timestamp() if did.timestamp else nan)
                for did in asked.history
            ]
            request = Request(
                state=state.after(session, serving.recommender.catalogue),
                k=asked.k,
                query=asked.query,
                exclude=(*asked.exclude, *asked.filters.deny),
                categories=frozenset(asked.filters.categories),
                where=asked.filters.where(),
                shape=shape,
                explain=asked.explain,
                at=asked.context.timestamp or datetime.now(UTC),
                judge=judge_of(course, wanted=asked.ranker),
                watch=watch,
            )
            ranked = course.run(
                Stage.SCORE,
                lambda: serving.recommender.recommend(request),
                lambda: course.last(lambda: serving.recommender.popular(request)),
            )
        served = ServedList(
            request_id=request_id,
            user_id=asked.user_id,
            timestamp=request.at or datetime.now(UTC),
            model_version=serving.version,
            arm=arm,
            items=[item.item_id for item in ranked],
            scores=[item.score for item in ranked],
            propensities=[item.propensity for item in ranked],
            erasure=erased,
        )
        self._answers.put(served)
        return Answer(served, ranked, course.degraded)

    def browse(
        self, user_id: str | None, k: int, categories: Sequence[str], exclude: Sequence[str]
    ) -> tuple[Serving, Request]:
        """What serves now, and a request for a list that is not made for one person.

        `user_id`: whose seen items are left out. Raises NoModelError.
        """
        course = Course(self._machinery, Deadline.starts(self.deadlines))
        serving, _, state = self._situation(course, user_id)
        request = Request(
            state=state,
            k=k,
            exclude=tuple(exclude),
            categories=frozenset(categories),
            at=datetime.now(UTC),
        )
        return serving, request

    def upsert(self, items: Sequence[LiveItem]) -> None:
        """Store items; on disk when this returns."""
        self._items.upsert(items)
        self.live.wake()

    def delete(self, item_id: str) -> None:
        """Let an item go; on disk when this returns."""
        self._items.delete(item_id)
        self.live.wake()

    def ingest(self, events: Sequence[StoredEvent]) -> set[str]:
        """Store events; on disk when this returns. Returns the ids of those that were new."""
        return self._store.append_new(events)

    def _situation(self, course: Course, user_id: str | None) -> Situation:
        """As the store knows it, or else as this process does. Raises NoModelError."""
        known = self.live.known
        if known is None:
            raise NoModelError("no model has been promoted yet; run a retrain first")
        return course.run(
            Stage.STATE,
            lambda: self._read(user_id, known),
            lambda: self._remembered(user_id, known),
        )

    def _read(self, user_id: str | None, known: Serving) -> Situation:
        serving, erased = self.live.current() or known, self._store.personal.erasure_of(user_id)
        return Situation(serving, erased, self._state(serving, user_id, erased))

    def _remembered(self, user_id: str | None, known: Serving) -> Situation:
        """The packaged state, unless the user is known to have been erased since."""
        erased = self.erasures.of(user_id)
        states = known.recommender.states
        state = UserState.empty() if user_id is None else states.of(user_id, erased)
        return Situation(known, erased, state)

    def _state(self, serving: Serving, user_id: str | None, erased: int) -> UserState:
        if user_id is None:
            return UserState.empty()
        states = serving.recommender.states
        newer = self._store.recent(user_id, states.until, _RECENT_EVENTS)
        return states.of(user_id, erased).after(newer, serving.recommender.catalogue)

    def _follow(self) -> None:
        while not self._stopping.wait(self._poll):
            try:
                self.refresh()
                self._shaping.follow()
                self.erasures.follow()
            except (ValueError, OSError) as error:
                log.error("champion pointer unreadable", error=blame(error))
            except SQLAlchemyError as error:
                log.error("store unreadable, nothing followed", error=blame(error))

    def _write_answers(self) -> None:
        stopping = False
        while not stopping:
            batch = [self._answers.get()]
            self._stopping.wait(_GATHER_SECONDS)
            while not self._answers.empty():
                batch.append(self._answers.get())
            stopping = None in batch
            try:
                self._store.append_served(served for served in batch if served is not None)
            except SQLAlchemyError as error:
                # The events decide what is recommended; a list that is not logged costs statistics.
                log.error("served lists not logged", lists=len(batch), error=blame(error))
