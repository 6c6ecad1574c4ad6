"""What lists were shown and what was done with them, as it is counted."""

import threading
from collections.abc import Collection, Sequence

from sqlalchemy.exc import SQLAlchemyError

from recloop.columns import Event
from recloop.logs import blame, get_log
from recloop.serving.api import EventIn
from recloop.serving.metrics import metrics
from recloop.store.events import EventStore, ServedList

log = get_log("serving")

_newest = 0.0
_telling = threading.Lock()


def count_list(served: ServedList) -> None:
    """A list that was answered with."""
    metrics().recommendations.labels(served.model_version).inc()
    metrics().impressions.inc(len(served.items))


def count_events(events: Sequence[EventIn], new: Collection[str]) -> None:
    """A batch that was stored; `new` are the ids of the events that were not there before."""
    fresh = list({event.event_id: event for event in events if event.event_id in new}.values())
    metrics().events.labels("accepted").inc(len(fresh))
    metrics().events.labels("duplicate").inc(len(events) - len(fresh))
    metrics().clicks.inc(sum(each.event is Event.CLICK and bool(each.request_id) for each in fresh))
    if fresh:
        _tell(max(event.timestamp.timestamp() for event in fresh))


def tell_newest(store: EventStore) -> None:
    """At a start: how old the newest event is that is stored already."""
    try:
        newest = store.newest()
    except SQLAlchemyError as error:
        log.error("newest event unknown", error=blame(error))
        return
    if newest is not None:
        _tell(newest.timestamp())


def _tell(moment: float) -> None:
    global _newest  # noqa: PLW0603 - a gauge of the process, which can only be set
    with _telling:
        _newest = max(_newest, moment)
        metrics().newest_event.set(_newest)
