"""An engine over the tiny model, and a ranker that fails on demand."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recloop.recommender.recommender import Recommender
from recloop.recommender.reranking import Logits, Reranker
from recloop.registry.champion import write_champion
from recloop.registry.versions import Registry
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore
from tests.support import tiny_model


def backwards(count: int) -> Logits:
    """Return logits that rise with the position: the last candidate is best."""
    return np.arange(count, dtype=np.float32)


@dataclass
class ObedientRanker:
    """Ranker that behaves as `does` says; `hangs` blocks until the test releases it."""

    does: Callable[[int], Logits] = backwards
    calls: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def logits(self, behaviour, query, candidates) -> Logits:
        self.calls += 1
        return self.does(len(candidates))

    def hangs(self, count: int) -> Logits:
        assert self.released.wait(60)
        return backwards(count)

    def raises(self, count: int) -> Logits:
        raise RuntimeError("the ranker is broken, says adam")

    def nan(self, count: int) -> Logits:
        return np.full(count, np.nan, np.float32)

    def short(self, count: int) -> Logits:
        return backwards(count)[1:]


def reranked(recommender: Recommender, ranker: ObedientRanker) -> Recommender:
    """Return the recommender with a ranker that alone orders the first three places."""
    items = recommender.catalogue.items
    titles = items["title"].to_list()
    reranker = Reranker(ranker, 100.0, 3, titles, titles)
    return recommender.with_catalogue(availability=recommender.availability, reranker=reranker)


class Models(Registry):
    """Registry that holds one model in memory."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender

    def load(self, _version: str) -> Recommender:
        return self._recommender

    def versions(self) -> list[str]:
        return ["v1"]


def engine(folder: Path, recommender: Recommender | None = None):
    """Return an engine that has loaded its model and follows no changes in the background."""
    pointer = folder / "champion.json"
    write_champion(pointer, "v1", [])
    models = Models(recommender or tiny_model.payload().recommender())
    store = EventStore.at(folder / "events.db")
    made = Engine(models, pointer, store, poll_seconds=60)
    made.refresh()
    made.erasures.refresh()
    return made
