"""Counts of served lists and of events in the metrics."""

import threading
from collections.abc import Collection, Sequence

from sqlalchemy.exc import SQLAlchemyError

from recloop.columns import Event
from recloop.logs import error_location, get_log
from recloop.schemas.recommend import EventIn
from recloop.serving.telemetry.prometheus import metrics
from recloop.store.event_store import EventStore, ServedList

log = get_log("serving")

_newest = 0.0
_lock = threading.Lock()


def count_served_list(served: ServedList) -> None:
    """Count a served list and its items."""
    metrics().recommendations.labels(served.model_version).inc()
    metrics().impressions.inc(len(served.items))


def count_events(events: Sequence[EventIn], new: Collection[str]) -> None:
    """Count a batch of events that was stored.

    Args:
        events: The batch.
        new: Ids of the events that had not been stored before.
    """
    fresh = list({event.event_id: event for event in events if event.event_id in new}.values())
    metrics().events.labels("accepted").inc(len(fresh))
    metrics().events.labels("duplicate").inc(len(events) - len(fresh))
    metrics().clicks.inc(sum(each.event is Event.CLICK and bool(each.request_id) for each in fresh))
    if fresh:
        _set_newest(max(event.timestamp.timestamp() for event in fresh))


def set_newest_event_time(store: EventStore) -> None:
    """Set the metric of the newest event's time from the store, when the service starts."""
    try:
        newest = store.newest()
    except SQLAlchemyError as error:
        log.error("cannot read the newest event", error=error_location(error))
        return
    if newest is not None:
        _set_newest(newest.timestamp())


def _set_newest(moment: float) -> None:
    global _newest  # noqa: PLW0603 - a gauge of the process, which can only be set
    with _lock:
        _newest = max(_newest, moment)
        metrics().newest_event.set(_newest)
