"""Cache of API keys in the memory of a worker, read from the database at most twice a second."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from recloop.store.api_keys import ApiKey, KeyStore, key_id_of

_SECONDS = 0.5


class KeyCache:
    """Cache of API keys. Thread-safe.

    Args:
        where: File or URL of the keys.
        seconds: Seconds after which a change in the database is in effect at the latest.
        clock: Function that returns the time in seconds, from any origin.
    """

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
        self._valid_until = float("-inf")
        self._lock = threading.Lock()

    @property
    def is_stale(self) -> bool:
        """Return whether `refresh` must be called before the next `find`."""
        return self._clock() >= self._valid_until

    def refresh(self) -> None:
        """Read the keys if they are stale. Of several callers, one reads and the others wait.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The keys cannot be read.
            StoreSchemaError: A newer version has upgraded the keys.
        """
        with self._lock:
            if not self.is_stale:
                return
            # The time before the query counts, since the query may miss later changes.
            until = self._clock() + self._seconds
            if self._store is None:
                self._store = KeyStore.at(self._where)
            self._keys = {key.id: key for key in self._store.read()}
            self._valid_until = until

    def find(self, token: str, now: datetime) -> ApiKey | None:
        """Return the valid key that equals a token, None if there is none."""
        key = self._keys.get(key_id_of(token))
        if key is None or not key.matches(token) or not key.is_valid(now):
            return None
        return key
