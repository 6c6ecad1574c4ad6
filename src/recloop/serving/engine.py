"""Engine of the service: the served model, which is replaced while it runs, and the stores."""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from recloop.data.live_items import LiveItem
from recloop.logs import error_location, get_log
from recloop.recommender.lists.list_builder import ListOptions
from recloop.recommender.request import RankedItem, Request
from recloop.recommender.site_rules import SiteRules
from recloop.registry.champion import Champion, read_champion
from recloop.registry.manifest import ModelFormatError
from recloop.registry.versions import Registry
from recloop.schemas.recommend import RecommendRequest
from recloop.serving.erasure_cache import ErasureCache
from recloop.serving.execution.deadline import Deadline, DeadlineConfig
from recloop.serving.execution.deadline_executor import DeadlineExecutor
from recloop.serving.execution.request_context import RequestContextLoader
from recloop.serving.execution.request_execution import RequestExecution
from recloop.serving.execution.scoring_stages import Stage, measure_stage
from recloop.serving.experiment_assignment import ExperimentAssigner
from recloop.serving.live_model import LiveModel, ServedModel
from recloop.serving.served_list_writer import ServedListWriter
from recloop.serving.to_request import session_events, to_request
from recloop.serving.warm_up import warm_up
from recloop.store.click_counts import ClickCounts
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from recloop.store.item_store import ItemStore

Result = TypeVar("Result")

log = get_log("serving")


class Recommendation(NamedTuple):
    """A served list as it is stored, its items, and the stages that were replaced by a fallback."""

    served: ServedList
    items: list[RankedItem]
    degraded: list[Stage]


class Engine:
    """Answers requests with the champion and the stores. Thread-safe.

    `start` loads the champion. Until `stop`, threads follow the champion pointer and changed items,
    and write served lists.

    Args:
        registry: Packaged models.
        pointer: File that names the champion.
        store: Events and served lists; closed by `stop`.
        poll_seconds: Seconds between two reads of the pointer.
        site_rules: Rules of all lists, and the experiment. None: neither.
        deadlines: Deadline of each request. None: no deadline.
        on_load: Called with the version of each model that begins to serve.
    """

    def __init__(
        self,
        registry: Registry,
        pointer: Path,
        store: EventStore,
        poll_seconds: float,
        site_rules: SiteRules | None = None,
        deadlines: DeadlineConfig | None = None,
        on_load: Callable[[str], None] = lambda _version: None,
    ) -> None:
        self._registry = registry
        self._pointer = pointer
        self._store = store
        self._poll = poll_seconds
        self._assigner = ExperimentAssigner(site_rules or SiteRules(), ClickCounts(store.engine))
        self._on_load = on_load
        self.deadlines = deadlines or DeadlineConfig()
        self._executor = DeadlineExecutor()
        self._writer = ServedListWriter(store)
        self.erasures = ErasureCache(store.personal)
        self._items = ItemStore(store.engine)
        self.live_model = LiveModel(self._items)
        self._contexts = RequestContextLoader(self.live_model, store, self.erasures)
        self._champion: Champion | None = None
        self._refused: Champion | None = None
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="follow-champion", daemon=True),
            threading.Thread(target=self._writer.run, name="write-answers", daemon=True),
            threading.Thread(target=self.live_model.follow, name="follow-items", daemon=True),
        ]

    def start(self) -> None:
        """Load the champion and start the threads that follow changes."""
        self.refresh()
        self.erasures.refresh()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Write the remaining served lists, end the threads and close the store."""
        self._stopping.set()
        self._writer.stop()
        self.live_model.stop()
        for thread in self._threads:
            thread.join(timeout=10)
        self._store.close()

    @property
    def version(self) -> str | None:
        """Return the version of the served model, None if no model is loaded."""
        return self.live_model.version

    @property
    def served_model(self) -> ServedModel | None:
        """Return the served model after all stored changes of items, None if no model is loaded."""
        return self.live_model.current()

    @property
    def registry(self) -> Registry:
        """Return the registry of packaged models."""
        return self._registry

    @property
    def store(self) -> EventStore:
        """Return the store of events and served lists."""
        return self._store

    def refresh(self) -> None:
        """Load the champion if it has changed. If it cannot be loaded, the old model stays.

        Raises:
            SQLAlchemyError: The items cannot be read; the old model stays until the next call.
        """
        champion = read_champion(self._pointer)
        if champion is None or champion in {self._champion, self._refused}:
            return
        try:
            self.live_model.swap(champion.version, warm_up(self._registry.load(champion.version)))
            self._on_load(champion.version)
        except ModelFormatError as error:
            self._refused = champion
            log.error("model refused", why=str(error), still_serving=self.version)
            return
        except SQLAlchemyError:
            raise  # an error of the store, not of the model: the next call tries again
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the old model serves
            self._refused = champion
            log.error("model refused", error=error_location(error), still_serving=self.version)
            return
        self._champion = champion
        log.info("model loaded", version=champion.version)

    async def recommend(self, request: RecommendRequest) -> Recommendation:
        """Recommend items within the deadline, and store the served list.

        Raises:
            NoModelError: No model has been promoted yet.
            UnknownArmError: The experiment does not have the arm that the request names.
        """
        request_id = uuid.uuid4().hex
        arm, options = self._assigner.assign(request, request_id)
        with measure_stage(Stage.TOTAL):
            (served, items), execution = await self._executor.run(
                Deadline.start(self.deadlines),
                lambda execution: self._recommend(execution, request, request_id, arm, options),
            )
        self._writer.add(served)
        return Recommendation(served, items, execution.degraded)

    async def run(
        self, user_id: str | None, request: Request, work: Callable[[ServedModel, Request], Result]
    ) -> Result:
        """Run `work` on the served model within the deadline.

        Args:
            user_id: User whose history `work` finds in its request. None: an empty history.
            request: Request, whose history and time are replaced.
            work: Function of the served model and the request.

        Raises:
            NoModelError: No model has been promoted yet.
        """

        def in_context(execution: RequestExecution) -> Result:
            served, _, history = self._contexts.load(execution, user_id)
            return work(served, replace(request, history=history, time=datetime.now(UTC)))

        return (await self._executor.run(Deadline.start(self.deadlines), in_context))[0]

    def upsert(self, items: Sequence[LiveItem]) -> None:
        """Insert or replace items. They are on disk when this returns."""
        self._items.upsert(items)
        self.live_model.wake()

    def delete(self, item_id: str) -> None:
        """Delete an item. The change is on disk when this returns."""
        self._items.delete(item_id)
        self.live_model.wake()

    def ingest(self, events: Sequence[StoredEvent]) -> set[str]:
        """Store events and return the ids of the new ones. They are on disk when this returns."""
        return self._store.append_new(events)

    def _recommend(
        self,
        execution: RequestExecution,
        request: RecommendRequest,
        request_id: str,
        arm: str,
        options: ListOptions,
    ) -> tuple[ServedList, list[RankedItem]]:
        session = session_events(request)
        model, erasure, history = self._contexts.load(execution, request.user_id, session)
        recommender, wanted = model.recommender, to_request(request, history, options)
        hooks = execution.hooks(ranker=request.ranker)
        items = execution.run_stage(
            Stage.SCORE,
            lambda: recommender.recommend(wanted, hooks),
            lambda: execution.popularity_fallback(lambda: recommender.popular(wanted)),
        )
        served = ServedList(
            request_id=request_id,
            user_id=request.user_id,
            timestamp=wanted.time or datetime.now(UTC),
            model_version=model.version,
            arm=arm,
            items=[item.item_id for item in items],
            scores=[item.score for item in items],
            propensities=[item.propensity for item in items],
            erasure=erasure,
        )
        return served, items

    def _follow(self) -> None:
        while not self._stopping.wait(self._poll):
            try:
                self.refresh()
                self._assigner.refresh_counts()
                self.erasures.refresh()
            except (ValueError, OSError) as error:
                log.error("champion pointer unreadable", error=error_location(error))
            except SQLAlchemyError as error:
                log.error("store unreadable, nothing followed", error=error_location(error))
