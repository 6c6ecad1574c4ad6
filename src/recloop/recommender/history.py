"""Histories of users: positive events in order, seen items and hidden items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows
from recloop.data.user_sequences import Seconds, Signals, event_codes, step_signals
from recloop.scoring.scorer import last_occurrence_positions, last_occurrences

# Item id, event type, and time in seconds since 1970, NaN if unknown.
HistoryEvent = tuple[str, str, float]


@dataclass(frozen=True)
class InteractionHistory:
    """Positive events of one user, oldest first, including repeats.

    Attributes:
        rows: Item rows, shape `(events,)`, int64.
        times: Times in seconds since 1970, NaN if unknown, shape `(events,)`, float64.
        events: Codes of the event types, shape `(events,)`, int8.
    """

    rows: Rows
    times: Seconds
    events: NDArray[np.int8]

    @classmethod
    def from_events(
        cls, events: Sequence[HistoryEvent], catalogue: Catalogue
    ) -> "InteractionHistory":
        """Return the history of these events, all of whose items are in the catalogue."""
        return cls(
            catalogue.rows(item for item, _, _ in events),
            np.array([at for _, _, at in events], np.float64),
            event_codes([event for _, event, _ in events]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def followed_by(self, later: "InteractionHistory") -> "InteractionHistory":
        """Return this history followed by a later one."""
        pairs = zip(vars(self).values(), vars(later).values(), strict=True)
        return InteractionHistory(*(np.concatenate(pair) for pair in pairs))

    def deduplicated(self) -> "InteractionHistory":
        """Return the last occurrence of each item, in the same order."""
        kept = last_occurrence_positions(self.rows)
        return InteractionHistory(*(values[kept] for values in vars(self).values()))

    def signals_at(self, until: float) -> Signals:
        """Return gaps of time and event types of the steps, shape `(events, SIGNAL_WIDTH)`.

        Args:
            until: Time of the request in seconds since 1970, up to which the last gap counts.
        """
        return step_signals(self.times, until, self.events)


@dataclass(frozen=True)
class UserHistory:
    """History of one user: positive events, seen items and hidden items.

    Attributes:
        positive: Positive events.
        seen: Rows of all items that the user interacted with, each once.
        hidden: Rows of the items that the user has hidden, each once.
    """

    positive: InteractionHistory
    seen: Rows
    hidden: Rows

    @classmethod
    def empty(cls) -> "UserHistory":
        """Return the history of an unknown user."""
        nothing = np.empty(0, np.int64)
        past = InteractionHistory(nothing, nothing.astype(np.float64), nothing.astype(np.int8))
        return cls(past, nothing, nothing)

    def updated_with(self, events: Iterable[HistoryEvent], catalogue: Catalogue) -> "UserHistory":
        """Return the history after further events, which are given oldest first.

        Impressions and events with items outside of the catalogue are ignored.
        """
        new = [
            event for event in events if event[1] != c.Event.IMPRESSION and event[0] in catalogue
        ]
        if not new:
            return self
        positive = [event for event in new if event[1] in c.POSITIVE_EVENTS]
        rows = catalogue.rows(item for item, _, _ in new)
        hidden = catalogue.rows(item for item, kind, _ in new if kind == c.Event.HIDE)
        return UserHistory(
            self.positive.followed_by(InteractionHistory.from_events(positive, catalogue)),
            last_occurrences(np.concatenate([self.seen, rows])),
            last_occurrences(np.concatenate([self.hidden, hidden])),
        )


class PackagedHistories:
    """Histories at the time of packaging, by user id.

    Args:
        users: User ids.
        histories: Positive events of each user.
        seen: Rows of the items that each user has seen.
        last_sequence: Sequence number of the last event that the histories contain.
        hidden: Rows of the items that each user has hidden. None: nobody has hidden an item.
    """

    def __init__(
        self,
        users: Sequence[str],
        histories: Sequence[InteractionHistory],
        seen: Sequence[Rows],
        last_sequence: int,
        hidden: Sequence[Rows] | None = None,
    ) -> None:
        self.last_sequence = last_sequence
        self._row_of = {user: row for row, user in enumerate(users)}
        self._pasts = histories
        self._seen = seen
        self._hidden = hidden or [np.empty(0, np.int64)] * len(users)

    def get(self, user_id: str, erasure: int = 0) -> UserHistory:
        """Return the history of a user, empty for an unknown one.

        Args:
            user_id: The user.
            erasure: Sequence number of the user's last erasure. If it is later than the packaged
                events, the history is empty.
        """
        row = self._row_of.get(user_id)
        if row is None or erasure > self.last_sequence:
            return UserHistory.empty()
        return UserHistory(self._pasts[row], self._seen[row], self._hidden[row])
