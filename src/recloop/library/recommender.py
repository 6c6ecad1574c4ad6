"""Packaged models for use in a program, without a server."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from recloop.columns import Event
from recloop.data.pseudonyms import NO_PSEUDONYMS, Pseudonyms
from recloop.recommender import recommender as core
from recloop.recommender.history import UserHistory
from recloop.recommender.request import RankedItem, Request
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from recloop.settings import read_settings
from recloop.store.event_store import EventStore
from recloop.store.user_id_scheme import load_pseudonyms


class Recommender:
    """A packaged model that ranks items in this process.

    It uses the data of the time of packaging: events and items that a running service received
    later are not used.

    Example:
        >>> recommender = Recommender.load(model_folder)
        >>> [item.item_id for item in recommender.recommend(history=["north1"], k=2)]
        ['north2', 'both']
    """

    def __init__(
        self,
        model: core.Recommender,
        pseudonyms: Pseudonyms = NO_PSEUDONYMS,
        last_erasure: Callable[[str], int] = lambda _user: 0,
    ) -> None:
        self._model = model
        self._pseudonyms = pseudonyms
        self._last_erasure = last_erasure

    @classmethod
    def load(cls, model: str | Path) -> Self:
        """Load a packaged model.

        Args:
            model: Folder of a packaged model (such as `artifacts/model`), or a version in
                `RECLOOP_HOME` (such as `"v3"`). A version does not use the histories of users who
                were erased since; a folder has no record of erasures.

        Raises:
            UnknownVersionError: There is neither such a folder nor such a version.
            CorruptModelError: A file of the model is missing, or its checksum differs.
            UserIdsDifferError: The version was packaged with another pseudonym key.
            ConfigError: A `RECLOOP_` variable is not allowed.
        """
        if Path(model).is_dir():
            return cls(Payload.load(Path(model)).recommender())
        settings = read_settings()
        store = EventStore.of(settings.home)
        pseudonyms = load_pseudonyms(store, settings)
        loaded = Registry(settings.home, pseudonyms.scheme).load(str(model))
        return cls(loaded, pseudonyms, store.personal.last_erasure)

    def recommend(
        self,
        *,
        user: str | None = None,
        history: Sequence[str] = (),
        query: str | None = None,
        k: int = 10,
        exclude: Sequence[str] = (),
        explain: bool = False,
    ) -> list[RankedItem]:
        """Return at most `k` items, best first.

        Args:
            user: Id of a user that the model may know.
            history: Ids of the items of the current session, oldest first; each counts as a click.
            query: Search query.
            k: Length of the list.
            exclude: Ids of items that must not be in the list.
            explain: Whether each item has the reasons for its score.

        Raises:
            TypeError: An id is no string, or `history` or `exclude` is one string.
            ValueError: `k` is not positive.
        """
        _check_ids(history=history, exclude=exclude, user=() if user is None else (user,))
        if k < 1:
            raise ValueError(f"k must be positive: {k}")
        packaged = self._packaged_history(user)
        session = [(item_id, Event.CLICK.value, float("nan")) for item_id in history]
        request = Request(
            history=packaged.updated_with(session, self._model.catalogue),
            k=k,
            query=query,
            exclude=tuple(exclude),
            explain=explain,
            offline_seconds=time.time(),
        )
        return self._model.recommend(request)

    def _packaged_history(self, user: str | None) -> UserHistory:
        if user is None:
            return UserHistory.empty()
        pseudonym = self._pseudonyms.pseudonymise(user)
        return self._model.histories.get(pseudonym, self._last_erasure(pseudonym))


def _check_ids(**arguments: Sequence[str]) -> None:
    for name, ids in arguments.items():
        if isinstance(ids, str) or not all(isinstance(each, str) for each in ids):
            raise TypeError(f"{name}: ids are strings, in a list or another sequence; got {ids!r}")
