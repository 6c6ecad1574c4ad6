"""The keys in a worker's memory: asked at every request, read from disk at most twice a second."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from recloop.store.keys import ApiKey, KeyStore, id_in

_SECONDS = 0.5


class KeyRing:
    """Thread-safe. What the database says is seen `seconds` later at most, whoever wrote it."""

    def __init__(
        self,
        where: Path | str,
        seconds: float = _SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where = where
        self._seconds = seconds
        self._clock = clock
        self._store: KeyStore | None = None
        self._keys: dict[str, ApiKey] = {}
        self._until = float("-inf")
        self._lock = threading.Lock()

    @property
    def is_stale(self) -> bool:
        """Whether `refresh` has to come before the next `find`."""
        return self._clock() >= self._until

    def refresh(self) -> None:
        """Read the keys where they are stale; of several callers one reads and the others wait.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: they cannot be read.
        """
        with self._lock:
            if not self.is_stale:
                return
            # Counted from before the reading: what is written during it may be missed by it.
            until = self._clock() + self._seconds
            if self._store is None:
                self._store = KeyStore.at(self._where)
            self._keys = {key.id: key for key in self._store.read()}
            self._until = until

    def find(self, token: str, now: datetime) -> ApiKey | None:
        """The valid key that this token is, None where it is none."""
        key = self._keys.get(id_in(token))
        if key is None or not key.opens_with(token) or not key.is_valid(now):
            return None
        return key
