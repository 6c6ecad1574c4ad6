"""What stands behind the API: the serving model, swapped while it runs, and the event store."""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from recloop.data.live import LiveItem
from recloop.logs import blame, get_log
from recloop.recommender.request import RankedItem, Request
from recloop.recommender.shape import Shape
from recloop.registry.champion import Champion, read_champion
from recloop.registry.store import Registry
from recloop.serving.answering import Answering
from recloop.serving.answers import AnswerLog
from recloop.serving.api import RecommendRequest
from recloop.serving.asking import request_of
from recloop.serving.course import Course
from recloop.serving.deadline import Deadline, DeadlineConfig
from recloop.serving.erasures import KnownErasures
from recloop.serving.live import LiveModel, Serving
from recloop.serving.policy import ServingPolicy
from recloop.serving.prepare import prepared
from recloop.serving.shaping import Shaping
from recloop.serving.situation import Situations
from recloop.serving.stages import Stage, watch
from recloop.store.events import EventStore, ServedList, StoredEvent
from recloop.store.items import ItemStore
from recloop.store.outcomes import Outcomes

Found = TypeVar("Found")

log = get_log("serving")


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
        self._answering = Answering()
        self._answers = AnswerLog(store)
        self.erasures = KnownErasures(store.personal)
        self._items = ItemStore(store.engine)
        self.live = LiveModel(self._items)
        self._situations = Situations(self.live, store, self.erasures)
        self._champion: Champion | None = None
        self._refused: Champion | None = None
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="follow-champion", daemon=True),
            threading.Thread(target=self._answers.write, name="write-answers", daemon=True),
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
        self._answers.stop()
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

    async def recommend(self, asked: RecommendRequest) -> Answer:
        """Answer in time, with what there is by then, and log what was answered.

        Raises:
            NoModelError: nothing has been promoted yet.
            UnknownArmError: the request asks for an arm that the experiment does not have.
        """
        request_id = uuid.uuid4().hex
        arm, shape = self._shaping.of(asked, request_id)
        with watch(Stage.TOTAL):
            made, course = await self._answering.in_time(
                Deadline.starts(self.deadlines),
                lambda course: self._answer(course, asked, request_id, arm, shape),
            )
        self._answers.add(made[0])
        return Answer(*made, course.degraded)

    async def browse(
        self, user_id: str | None, wanted: Request, browse: Callable[[Serving, Request], Found]
    ) -> Found:
        """A list that is not made for one person: what `browse` makes of what serves now.

        `user_id`: whose seen items are left out. Raises NoModelError.
        """

        def work(course: Course) -> Found:
            serving, _, state = self._situations.of(course, user_id)
            return browse(serving, replace(wanted, state=state, at=datetime.now(UTC)))

        return (await self._answering.in_time(Deadline.starts(self.deadlines), work))[0]

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

    def _answer(
        self, course: Course, asked: RecommendRequest, request_id: str, arm: str, shape: Shape
    ) -> tuple[ServedList, list[RankedItem]]:
        serving, erased, state = self._situations.of(course, asked.user_id)
        recommender = serving.recommender
        request = request_of(asked, state, shape, course, recommender.catalogue)
        ranked = course.run(
            Stage.SCORE,
            lambda: recommender.recommend(request),
            lambda: course.last(lambda: recommender.popular(request)),
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
        return served, ranked

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
