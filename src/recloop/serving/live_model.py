"""The served model of one worker, over the current catalogue."""

import threading
import time
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError

from recloop.logs import error_location, get_log
from recloop.recommender.live_catalogue import EncodedItem, LiveCatalogue
from recloop.recommender.recommender import Recommender
from recloop.store.item_store import ItemStore

# Seconds for which texts are encoded before the encoded items become available.
_ENCODE_SECONDS = 0.2
# Seconds between two reads of the store, for workers that receive no requests.
_FOLLOW_SECONDS = 0.5

log = get_log("serving")


@dataclass(frozen=True)
class ServedModel:
    """Model and its version, over the catalogue at one moment.

    Attributes:
        version: Version of the model in the registry.
        catalogue: Items of the model and all stored changes up to a sequence number.
    """

    version: str
    catalogue: LiveCatalogue

    @property
    def recommender(self) -> Recommender:
        """Return the recommender over this catalogue."""
        return self.catalogue.recommender


class LiveModel:
    """Holds the served model and applies changed items to it. Thread-safe.

    Readers get an immutable `ServedModel`, which later changes do not affect. Availability, dates
    and categories are in effect from the next `current` on. Texts of new items are encoded by
    `follow` in a thread of its own; an item can be found once its text is encoded.
    """

    def __init__(self, items: ItemStore) -> None:
        self._items = items
        self._serving: ServedModel | None = None
        self._changing = threading.Lock()
        self._encoding = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()

    @property
    def version(self) -> str | None:
        """Return the version of the served model, None if no model is loaded."""
        return self._serving.version if self._serving else None

    @property
    def last_known(self) -> ServedModel | None:
        """Return the served model without reading changes from the store."""
        return self._serving

    def current(self) -> ServedModel | None:
        """Return the served model after all stored changes of items, None if no model is loaded.

        If the store is not available, changes since the last call are missing.
        """
        while (serving := self._serving) is not None:
            try:
                changes, sequence = self._items.changes(serving.catalogue.sequence)
            except SQLAlchemyError as error:
                log.error(
                    "cannot read changed items; the catalogue stays as it is",
                    error=error_location(error),
                )
                return serving
            if not changes:
                return serving
            with self._changing:
                if self._serving is serving:
                    overlay = serving.catalogue.with_changes(changes, sequence)
                    self._serving = replace(serving, catalogue=overlay)
            self._wake.set()
        return None

    def swap(self, version: str, recommender: Recommender) -> None:
        """Replace the served model.

        The items that are new to the model are encoded first, unless no model is served yet.

        Raises:
            SQLAlchemyError: The changed items cannot be read.
        """
        changes, sequence = self._items.changes(0)
        overlay = LiveCatalogue.from_recommender(recommender).with_changes(changes, sequence)
        while self._serving is not None and overlay.pending and not self._stopped.is_set():
            overlay = overlay.with_encoded(_encode_some(overlay))
        with self._changing:
            self._serving = ServedModel(version, overlay)
        self._wake.set()

    def encode_pending_items(self) -> None:
        """Apply all stored changes, and encode the texts that are not encoded yet."""
        with self._encoding:
            serving = self.current()
            while serving is not None and serving.catalogue.pending and not self._stopped.is_set():
                encoded = _encode_some(serving.catalogue)
                with self._changing:
                    newest = self._serving
                    if newest is not None and newest.catalogue.base is serving.catalogue.base:
                        overlay = newest.catalogue.with_encoded(encoded)
                        self._serving = replace(newest, catalogue=overlay)
                serving = self.current()

    def wake(self) -> None:
        """Let `follow` read changes now."""
        self._wake.set()

    def stop(self) -> None:
        """End `follow`."""
        self._stopped.set()
        self._wake.set()

    def follow(self) -> None:
        """Encode pending items after each change, until `stop` is called."""
        while not self._stopped.is_set():
            self._wake.wait(_FOLLOW_SECONDS)
            self._wake.clear()
            try:
                self.encode_pending_items()
            except Exception as error:  # noqa: BLE001 - the thread must survive
                log.error("cannot encode new items", error=error_location(error))


def _encode_some(overlay: LiveCatalogue) -> dict[str, EncodedItem]:
    """Encode pending items for about `_ENCODE_SECONDS`, at least one of them."""
    end = time.monotonic() + _ENCODE_SECONDS
    return overlay.encode_pending(lambda: time.monotonic() >= end)
