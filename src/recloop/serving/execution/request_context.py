"""Context of a request: the model that serves it, and the user's history up to now."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from recloop.recommender.history import HistoryEvent, UserHistory
from recloop.serving.erasure_cache import ErasureCache
from recloop.serving.execution.request_execution import RequestExecution
from recloop.serving.execution.scoring_stages import Stage
from recloop.serving.live_model import LiveModel, ServedModel
from recloop.store.change_cursors import ChangeCursorReader
from recloop.store.event_store import EventStore

# Newest events of a user that a request reads, impressions not counted.
_RECENT_EVENTS = 5_000


class NoModelError(RuntimeError):
    """No model has been promoted yet."""


class RequestContext(NamedTuple):
    """State that a request is answered from.

    Attributes:
        served: Model and catalogue.
        erasure: Sequence number of the user's last erasure, 0 if there was none.
        history: Packaged history, newer events of the store, and events of the session.
    """

    served: ServedModel
    erasure: int
    history: UserHistory


class RequestContextLoader:
    """Loads contexts from the store, or, if it fails or is late, from memory. Thread-safe."""

    def __init__(self, live: LiveModel, store: EventStore, erasures: ErasureCache) -> None:
        self._live = live
        self._store = store
        self._cursors = ChangeCursorReader(store.engine)
        self._erasures = erasures

    def load(
        self,
        execution: RequestExecution,
        user_id: str | None,
        session: Sequence[HistoryEvent] = (),
    ) -> RequestContext:
        """Load the context of a request.

        Args:
            execution: Execution of the request, of which this is the stage `STATE`.
            user_id: User, None for an anonymous request.
            session: Events of the request's session, oldest first; they are not stored.

        Raises:
            NoModelError: No model has been promoted yet.
        """
        last = self._live.last_known
        if last is None:
            raise NoModelError(
                "no model has been promoted that this version can load; run a retrain first"
            )
        read = partial(self._read, user_id, session, last)
        return execution.run_stage(
            Stage.STATE,
            partial(execution.run_outside_slot, read) if self._store.remote else read,
            partial(self._from_memory, user_id, session, last),
        )

    def _read(
        self, user_id: str | None, session: Sequence[HistoryEvent], last: ServedModel
    ) -> RequestContext:
        changes, erasure = self._cursors.read(user_id)
        # The catalogue is read again only if an item has changed since.
        served = last if changes == last.catalogue.sequence else self._live.current() or last
        events = list(session)
        if user_id is not None:
            since = served.recommender.histories.last_sequence
            events = [*self._store.recent(user_id, since, _RECENT_EVENTS), *session]
        return RequestContext(served, erasure, _history(served, user_id, erasure, events))

    def _from_memory(
        self, user_id: str | None, session: Sequence[HistoryEvent], last: ServedModel
    ) -> RequestContext:
        """Return the packaged history and the session, without newer events of the store."""
        erasure = self._erasures.last_erasure(user_id)
        return RequestContext(last, erasure, _history(last, user_id, erasure, session))


def _history(
    served: ServedModel, user_id: str | None, erasure: int, events: Sequence[HistoryEvent]
) -> UserHistory:
    histories = served.recommender.histories
    packaged = UserHistory.empty() if user_id is None else histories.get(user_id, erasure)
    return packaged.updated_with(events, served.recommender.catalogue)
