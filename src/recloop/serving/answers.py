"""Answers as they were given, logged in a thread of its own: a commit costs as much as an answer."""

import queue
import threading

from sqlalchemy.exc import SQLAlchemyError

from recloop.logs import blame, get_log
from recloop.store.events import EventStore, ServedList

# How long answers are gathered before they are logged together.
_GATHER_SECONDS = 0.25

log = get_log("serving")


class AnswerLog:
    """Thread-safe. `write` is for one thread, and ends with `stop` once everything is written."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._answers: queue.SimpleQueue[ServedList | None] = queue.SimpleQueue()
        self._stopping = threading.Event()

    def add(self, served: ServedList) -> None:
        """To be logged soon."""
        self._answers.put(served)

    def stop(self) -> None:
        """Let `write` end."""
        self._stopping.set()
        self._answers.put(None)

    def write(self) -> None:
        """Log what is added, until `stop`."""
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
