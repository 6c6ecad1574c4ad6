"""Cache of erasures, for requests during which the store is not available."""

from sqlalchemy.exc import SQLAlchemyError

from recloop.data.erased_users import user_digest
from recloop.logs import error_location, get_log
from recloop.store.erasure import PersonalData

log = get_log("privacy")


class ErasureCache:
    """Erasures that this process has read so far. Thread-safe.

    Without the cache, the packaged history of an erased user would be used again while the store is
    not available.
    """

    def __init__(self, personal: PersonalData) -> None:
        self._personal = personal
        self._numbers: dict[str, int] = {}
        self._until = 0

    def refresh(self) -> None:
        """Read new erasures. If the store is not available, the cache stays as it is."""
        try:
            found = self._personal.erasures_since(self._until)
        except SQLAlchemyError as error:
            log.error(
                "cannot read erasures; the cached ones stay in use", error=error_location(error)
            )
            return
        self._numbers.update(found)
        self._until = max([self._until, *found.values()])

    def last_erasure(self, user_id: str | None) -> int:
        """Return the sequence number of the user's last cached erasure, 0 if there is none."""
        return 0 if user_id is None else self._numbers.get(user_digest(user_id), 0)
