"""What stands behind the API: the serving model, swapped while it runs, and the event store."""

import queue
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from math import nan
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from recloop.data.live import LiveItem
from recloop.logs import get_log
from recloop.recommender.recommender import RankedItem, Request
from recloop.recommender.state import UserState
from recloop.registry.champion import Champion, read_champion
from recloop.registry.store import Registry
from recloop.serving.api import RecommendRequest
from recloop.serving.live import LiveModel, Serving
from recloop.serving.policy import ServingPolicy
from recloop.serving.shaping import Shaping
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


class Engine:
    """Thread-safe. `start` loads the champion and follows pointer and items until `stop`."""

    def __init__(
        self,
        registry: Registry,
        pointer: Path,
        store: EventStore,
        poll_seconds: float,
        policy: ServingPolicy | None = None,
    ) -> None:
        self._registry = registry
        self._pointer = pointer
        self._store = store
        self._poll = poll_seconds
        self._shaping = Shaping(policy or ServingPolicy(), Outcomes(store.engine))
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
            self.live.swap(champion.version, self._registry.load(champion.version))
        except SQLAlchemyError:
            raise  # of the store, not of the model: to be tried again
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the old one serves on
            self._refused = champion
            log.error("model refused", error=repr(error), still_serving=self.version)
            return
        self._champion = champion
        log.info("model loaded", version=champion.version)

    def recommend(self, asked: RecommendRequest) -> tuple[ServedList, list[RankedItem]]:
        """Answer, and log what was answered. Raises NoModelError."""
        serving = self._current()
        request_id = uuid.uuid4().hex
        arm, shape = self._shaping.of(asked, request_id)
        erased = self._store.personal.erasure_of(asked.user_id)
        state = self._state(serving, asked.user_id, erased)
        session = [
            (done.item_id, done.event.value, done.timestamp.timestamp() if done.timestamp else nan)
            for done in asked.history
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
        )
        ranked = serving.recommender.recommend(request)
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
        return served, ranked

    def browse(
        self, user_id: str | None, k: int, categories: Sequence[str], exclude: Sequence[str]
    ) -> tuple[Serving, Request]:
        """What serves now, and a request for a list that is not made for one person.

        `user_id`: whose seen items are left out. Raises NoModelError.
        """
        serving = self._current()
        request = Request(
            state=self._state(serving, user_id, self._store.personal.erasure_of(user_id)),
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

    def ingest(self, events: Sequence[StoredEvent]) -> int:
        """Store events; on disk when this returns. Returns how many were new."""
        return self._store.append(events)

    def _current(self) -> Serving:
        serving = self.live.current()
        if serving is None:
            raise NoModelError("no model has been promoted yet; run a retrain first")
        return serving

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
            except (ValueError, OSError) as error:
                log.error("champion pointer unreadable", error=str(error))
            except SQLAlchemyError as error:
                log.error("store unreadable, nothing followed", error=str(error))

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
                log.error("served lists not logged", lists=len(batch), error=str(error))
