"""What is known of a user: what they liked, oldest first, and what they have met at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.trail import Seconds, Signals, event_numbers, signals
from recloop.models.scorer import last_places, last_steps

# Item id, event, and when in seconds since 1970, NaN where nobody knows.
Happened = tuple[str, str, float]


@dataclass(frozen=True)
class Past:
    """Positive events, oldest first, repeats among them: item rows, when, and numbers of the events."""

    rows: Rows
    times: Seconds
    events: NDArray[np.int8]

    @classmethod
    def of(cls, events: Sequence[Happened], catalogue: Catalogue) -> "Past":
        """Of events with items that the catalogue has."""
        return cls(
            catalogue.rows(item for item, _, _ in events),
            np.array([at for _, _, at in events], np.float64),
            event_numbers([event for _, event, _ in events]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def then(self, later: "Past") -> "Past":
        """Both, one after the other."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return Past(*(np.concatenate(pair) for pair in pairs))

    def once(self) -> "Past":
        """Each item where it occurs last."""
        kept = last_steps(self.rows)
        return Past(*(values[kept] for values in vars(self).values()))

    def signals(self, until: float) -> Signals:
        """What the sequence model is told, at a request at `until` seconds."""
        return signals(self.times, until, self.events)


@dataclass(frozen=True)
class UserState:
    """`past`: what was liked; `seen`: rows of everything met, once; `hidden`: those to be seen no more."""

    past: Past
    seen: Rows
    hidden: Rows

    @classmethod
    def empty(cls) -> "UserState":
        """Somebody of whom nothing is known."""
        nothing = np.empty(0, np.int64)
        past = Past(nothing, nothing.astype(np.float64), nothing.astype(np.int8))
        return cls(past, nothing, nothing)

    def after(self, events: Iterable[Happened], catalogue: Catalogue) -> "UserState":
        """The state once these have happened, oldest first.

        Impressions and items that the catalogue does not have change nothing.
        """
        met = [
            happened
            for happened in events
            if happened[1] != c.Event.IMPRESSION and happened[0] in catalogue
        ]
        if not met:
            return self
        liked = [happened for happened in met if happened[1] in c.POSITIVE_EVENTS]
        rows = catalogue.rows(item for item, _, _ in met)
        hidden = catalogue.rows(item for item, event, _ in met if event == c.Event.HIDE)
        return UserState(
            self.past.then(Past.of(liked, catalogue)),
            last_places(np.concatenate([self.seen, rows])),
            last_places(np.concatenate([self.hidden, hidden])),
        )


class UserStates:
    """The states that a model was packaged with, found by user id.

    `until` is the sequence number of the last event that they include. Without `hidden`, nobody hid
    anything.
    """

    def __init__(
        self,
        users: Sequence[str],
        pasts: Sequence[Past],
        seen: Sequence[Rows],
        until: int,
        hidden: Sequence[Rows] | None = None,
    ) -> None:
        self.until = until
        self._place = {user: place for place, user in enumerate(users)}
        self._pasts = pasts
        self._seen = seen
        self._hidden = hidden or [np.empty(0, np.int64)] * len(users)

    def of(self, user_id: str, erased: int = 0) -> UserState:
        """The user's packaged state, empty for somebody new.

        Empty as well where the user's data was erased since; `erased` is the sequence number of that.
        """
        place = self._place.get(user_id)
        if place is None or erased > self.until:
            return UserState.empty()
        return UserState(self._pasts[place], self._seen[place], self._hidden[place])
