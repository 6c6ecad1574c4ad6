"""What an answer starts from: the model that serves now, and what the user did until now."""

from functools import partial
from typing import NamedTuple

from recloop.recommender.state import UserState
from recloop.serving.course import Course
from recloop.serving.erasures import KnownErasures
from recloop.serving.live import LiveModel, Serving
from recloop.serving.stages import Stage
from recloop.store.events import EventStore
from recloop.store.news import NewsDesk

# How many of a user's newest events, impressions not counted, a request looks at.
_RECENT_EVENTS = 5_000


class NoModelError(RuntimeError):
    """Nothing has been promoted yet."""


class Situation(NamedTuple):
    """What serves, the number of the user's last erasure, and what is known of the user."""

    serving: Serving
    erased: int
    state: UserState


class Situations:
    """As the store knows them, or else as this process does. Thread-safe."""

    def __init__(self, live: LiveModel, store: EventStore, erasures: KnownErasures) -> None:
        self._live = live
        self._store = store
        self._news = NewsDesk(store.engine)
        self._erasures = erasures

    def of(self, course: Course, user_id: str | None) -> Situation:
        """Of a user, or of nobody. Raises NoModelError."""
        known = self._live.known
        if known is None:
            raise NoModelError("no model has been promoted yet; run a retrain first")
        read = partial(self._read, user_id, known)
        return course.run(
            Stage.STATE,
            partial(course.elsewhere, read) if self._store.remote else read,
            lambda: self._remembered(user_id, known),
        )

    def _read(self, user_id: str | None, known: Serving) -> Situation:
        changed, erased = self._news.of(user_id)
        serving = known if changed == known.overlay.sequence else self._live.current() or known
        return Situation(serving, erased, self._state(serving, user_id, erased))

    def _remembered(self, user_id: str | None, known: Serving) -> Situation:
        """The packaged state, unless the user is known to have been erased since."""
        erased = self._erasures.of(user_id)
        states = known.recommender.states
        state = UserState.empty() if user_id is None else states.of(user_id, erased)
        return Situation(known, erased, state)

    def _state(self, serving: Serving, user_id: str | None, erased: int) -> UserState:
        if user_id is None:
            return UserState.empty()
        states = serving.recommender.states
        newer = self._store.recent(user_id, states.until, _RECENT_EVENTS)
        return states.of(user_id, erased).after(newer, serving.recommender.catalogue)
