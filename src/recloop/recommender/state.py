"""What is known of a user: what they liked, oldest first, and what they have met at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.models.scorer import last_places


@dataclass(frozen=True)
class UserState:
    """Row numbers: `history` of positive events, oldest first, repeats among them; `seen` of all, once."""

    history: Rows
    seen: Rows

    @classmethod
    def empty(cls) -> "UserState":
        """Somebody of whom nothing is known."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    def after(self, events: Iterable[tuple[str, str]], catalogue: Catalogue) -> "UserState":
        """The state once these (item id, event) pairs have happened, oldest first.

        Impressions and items that the catalogue does not have change nothing.
        """
        acted = [(item, event) for item, event in events if event != c.Event.IMPRESSION]
        liked = catalogue.rows(item for item, event in acted if event in c.POSITIVE_EVENTS)
        met = catalogue.rows(item for item, _ in acted)
        return UserState(
            np.concatenate([self.history, liked]), last_places(np.concatenate([self.seen, met]))
        )


class UserStates:
    """The states that a model was packaged with, found by user id.

    `until` is the sequence number of the last event that they include.
    """

    def __init__(
        self, users: Sequence[str], histories: Sequence[Rows], seen: Sequence[Rows], until: int
    ) -> None:
        self.until = until
        self._place = {user: place for place, user in enumerate(users)}
        self._histories = histories
        self._seen = seen

    def of(self, user_id: str) -> UserState:
        """The user's packaged state, empty for somebody new."""
        place = self._place.get(user_id)
        if place is None:
            return UserState.empty()
        return UserState(self._histories[place], self._seen[place])
