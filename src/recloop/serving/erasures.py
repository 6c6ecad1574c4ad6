"""Whose data was erased, as far as this process has heard: for when the store does not answer."""

from sqlalchemy.exc import SQLAlchemyError

from recloop.data.erased import pseudonym
from recloop.logs import blame, get_log
from recloop.store.erasure import PersonalData

log = get_log("privacy")


class KnownErasures:
    """Thread-safe. Without them, a model's packaged history of an erased user would come back."""

    def __init__(self, personal: PersonalData) -> None:
        self._personal = personal
        self._numbers: dict[str, int] = {}
        self._until = 0

    def follow(self) -> None:
        """Take what is new; where the store does not answer, what is known stays."""
        try:
            found = self._personal.erased_since(self._until)
        except SQLAlchemyError as error:
            log.error("erasures not followed", error=blame(error))
            return
        self._numbers.update(found)
        self._until = max([self._until, *found.values()])

    def of(self, user_id: str | None) -> int:
        """The number of the user's last known erasure, 0 where none is known."""
        return 0 if user_id is None else self._numbers.get(pseudonym(user_id), 0)
