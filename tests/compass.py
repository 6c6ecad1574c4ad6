"""The model of five films with an encoder that reads two words: east and north."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import tiny

from recloop.data.live import LiveItem
from recloop.models.query import QueryMix, QuerySide
from recloop.recommender.live import Overlay
from recloop.recommender.recommender import Recommender

NOW = datetime(2024, 6, 1, tzinfo=UTC)


class Compass:
    """A text with neither word points nowhere. `read` is what passages it was asked for."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, query: str) -> np.ndarray:
        words = query.lower()
        vector = np.array(["east" in words, "north" in words], np.float32)
        return vector / max(np.linalg.norm(vector), 1)

    def passage(self, text: str) -> np.ndarray:
        self.read.append(text)
        return self.encode(text)


def recommender(payload=None) -> Recommender:
    payload = payload or tiny.payload()
    made = payload.recommender()
    vectors, titles = payload.text.astype(np.float32), [f"Film {item}" for item in tiny.IDS]
    made.query = QuerySide(Compass(), vectors, titles, QueryMix())
    return made


def with_unknown(*unknown: str):
    """The payload of a model whose training has not met these films."""
    return replace(tiny.payload(), known=np.array([item not in unknown for item in tiny.IDS]))


def film(name: str, **changes: object) -> LiveItem:
    """As `tiny` has its own: the category is the name without its number."""
    facts = {"title": f"Film {name}", "categories": (name.rstrip("1234"),)}
    return LiveItem(name, **{**facts, **changes})


def gone(name: str) -> LiveItem:
    return LiveItem(name, None, available=False, deleted=True)


def told(overlay: Overlay, *items: LiveItem) -> Overlay:
    """Its next state, before anything new is read."""
    return overlay.with_items(items, overlay.sequence + len(items))


def settled(overlay: Overlay) -> Overlay:
    """Once everything has been read."""
    return overlay.with_readings(dict(overlay.read()))
