"""The model that serves, with the catalogue as it is now: what one worker holds, and how it follows."""

import threading
import time
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError

from recloop.logs import blame, get_log
from recloop.recommender.live import Overlay, Reading
from recloop.recommender.recommender import Recommender
from recloop.store.items import ItemStore

# How long texts are read before the first of them join.
_READ_SECONDS = 0.2
# How long an idle worker may not know of a new item.
_FOLLOW_SECONDS = 0.5

log = get_log("serving")


@dataclass(frozen=True)
class Serving:
    """A loaded model and its version, over the items of one moment."""

    version: str
    overlay: Overlay

    @property
    def recommender(self) -> Recommender:
        return self.overlay.recommender


class LiveModel:
    """Thread-safe: whoever asks gets one whole state, whatever changes meanwhile.

    Rules of items count from the next `current` on. New texts are read by `settle`, in a thread of its
    own (`follow`), and join as they are read.
    """

    def __init__(self, items: ItemStore) -> None:
        self._items = items
        self._serving: Serving | None = None
        self._changing = threading.Lock()
        self._settling = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()

    @property
    def version(self) -> str | None:
        """The version that answers now."""
        return self._serving.version if self._serving else None

    @property
    def known(self) -> Serving | None:
        """What serves, as it was last; asks nobody."""
        return self._serving

    def current(self) -> Serving | None:
        """What serves, once every change of items that is on disk has been taken.

        Where the store does not answer, what was known last.
        """
        while (serving := self._serving) is not None:
            try:
                changes, sequence = self._items.changes(serving.overlay.sequence)
            except SQLAlchemyError as error:
                log.error("items not followed", error=blame(error))
                return serving
            if not changes:
                return serving
            with self._changing:
                if self._serving is serving:
                    overlay = serving.overlay.with_items(changes, sequence)
                    self._serving = replace(serving, overlay=overlay)
            self._wake.set()
        return None

    def swap(self, version: str, recommender: Recommender) -> None:
        """Serve another model over the same items.

        It takes over once it has read the items that are new to it; where nothing serves, at once.
        """
        changes, sequence = self._items.changes(0)
        overlay = Overlay.over(recommender).with_items(changes, sequence)
        while self._serving is not None and overlay.pending and not self._stopped.is_set():
            overlay = overlay.with_readings(_some(overlay))
        with self._changing:
            self._serving = Serving(version, overlay)
        self._wake.set()

    def settle(self) -> None:
        """Take every change, and read what waits to be read."""
        with self._settling:
            serving = self.current()
            while serving is not None and serving.overlay.pending and not self._stopped.is_set():
                readings = _some(serving.overlay)
                with self._changing:
                    newest = self._serving
                    if newest is not None and newest.overlay.base is serving.overlay.base:
                        overlay = newest.overlay.with_readings(readings)
                        self._serving = replace(newest, overlay=overlay)
                serving = self.current()

    def wake(self) -> None:
        """Let `follow` look now."""
        self._wake.set()

    def stop(self) -> None:
        """Let `follow` end."""
        self._stopped.set()
        self._wake.set()

    def follow(self) -> None:
        """Settle whenever something may have changed, until `stop`."""
        while not self._stopped.is_set():
            self._wake.wait(_FOLLOW_SECONDS)
            self._wake.clear()
            try:
                self.settle()
            except Exception as error:  # noqa: BLE001 - items that cannot be read must not end the rest
                log.error("items not read", error=blame(error))


def _some(overlay: Overlay) -> dict[str, Reading]:
    """As many as can be read in a moment, one at least."""
    end = time.monotonic() + _READ_SECONDS
    return overlay.read(lambda: time.monotonic() >= end)
