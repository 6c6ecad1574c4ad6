"""The model of five films with an encoder that knows two words: east and north."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from recloop.data.live_items import LiveItem
from recloop.recommender.live_catalogue import LiveCatalogue
from recloop.recommender.recommender import Recommender
from recloop.scoring.query.matcher import QueryMatcher, QueryWeights
from tests.support import tiny_model

NOW = datetime(2024, 6, 1, tzinfo=UTC)


class Compass:
    """Encoder that gives the zero vector for other texts. `read` lists the passages it encoded."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode_query(self, query: str) -> np.ndarray:
        words = query.lower()
        vector = np.array(["east" in words, "north" in words], np.float32)
        return vector / max(float(np.linalg.norm(vector)), 1)

    def encode_passage(self, text: str) -> np.ndarray:
        self.read.append(text)
        return self.encode_query(text)


def recommender(payload=None) -> Recommender:
    payload = payload or tiny_model.payload()
    made = payload.recommender()
    vectors, titles = payload.text.astype(np.float32), [f"Film {item}" for item in tiny_model.IDS]
    query = QueryMatcher(Compass(), vectors, titles, QueryWeights())
    return made.with_catalogue(availability=made.availability, query=query)


def with_unknown(*unknown: str):
    """Return the payload of a model that was trained without these films."""
    return replace(
        tiny_model.payload(), warm=np.array([item not in unknown for item in tiny_model.IDS])
    )


def film(name: str, **changes: object) -> LiveItem:
    """Return a live item as `tiny_model` has it: its category is its name without the number."""
    facts: dict[str, Any] = {"title": f"Film {name}", "categories": (name.rstrip("1234"),)}
    return LiveItem(name, **{**facts, **changes})


def gone(name: str) -> LiveItem:
    return LiveItem(name, None, available=False, deleted=True)


def with_changes_of(overlay: LiveCatalogue, *items: LiveItem) -> LiveCatalogue:
    """Return the live catalogue with these changes, before their texts are encoded."""
    return overlay.with_changes(items, overlay.sequence + len(items))


def with_all_encoded(overlay: LiveCatalogue) -> LiveCatalogue:
    """Return the live catalogue after all pending texts are encoded."""
    return overlay.with_encoded(dict(overlay.encode_pending()))
