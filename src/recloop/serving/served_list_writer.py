"""Writer of served lists, which stores them in a thread of its own.

A commit takes as long as a response, so that lists are stored in batches after their responses.
"""

import queue
import threading

from sqlalchemy.exc import SQLAlchemyError

from recloop.logs import error_location, get_log
from recloop.store.event_store import EventStore, ServedList

# Seconds for which served lists are collected before they are stored together.
_GATHER_SECONDS = 0.25

log = get_log("serving")


class ServedListWriter:
    """Stores served lists in batches. Thread-safe, except that only one thread may call `run`."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._lists: queue.SimpleQueue[ServedList | None] = queue.SimpleQueue()
        self._stopping = threading.Event()

    def add(self, served: ServedList) -> None:
        """Add a list to the next batch."""
        self._lists.put(served)

    def stop(self) -> None:
        """End `run` once all added lists are stored."""
        self._stopping.set()
        self._lists.put(None)

    def run(self) -> None:
        """Store added lists in batches, until `stop` is called."""
        stopping = False
        while not stopping:
            batch = [self._lists.get()]
            self._stopping.wait(_GATHER_SECONDS)
            while not self._lists.empty():
                batch.append(self._lists.get())
            stopping = None in batch
            try:
                self._store.append_served(served for served in batch if served is not None)
            except SQLAlchemyError as error:
                # Recommendations depend on events, not on served lists, which are for evaluation.
                log.error(
                    "cannot store served lists; they are lost",
                    lists=len(batch),
                    error=error_location(error),
                )
