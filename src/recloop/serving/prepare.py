"""What is done to a loaded model before it answers, so that no request waits for it."""

import gc
from datetime import UTC, datetime

from recloop.models.cached import CachedEncoder
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.state import UserState
from recloop.registry.store import Registry
from recloop.serving.metrics import metrics

# Vectors of queries that are kept: some 15 MB at 384 numbers each.
_QUERIES = 10_000
_WARMING = "something"
# Rounds through what is young, before one through all that has grown old meanwhile.
_YOUNG_ROUNDS = 1_000


def prepared(recommender: Recommender) -> Recommender:
    """The same, its queries cached, and every part of it asked once.

    Raises whatever a model raises that cannot answer.
    """
    cached = CachedEncoder(recommender.query.encoder, _QUERIES, _count)
    ready = recommender.over(offer=recommender.offer, query=recommender.query.read_by(cached))
    first = recommender.catalogue.ids[:1]
    nobody = UserState.empty()
    state = nobody.after([(item, "click", 0.0) for item in first], recommender.catalogue)
    now = datetime.now(UTC)
    ready.popular(Request(nobody, at=now))
    ready.recommend(Request(nobody, at=now))
    ready.recommend(Request(state, query=_WARMING, at=now))
    return ready


def leave_uncollected() -> None:
    """Garbage collection passes over what is there now: going through a whole model stops every answer.

    What the last model left behind is collected first. Later full rounds are rare: BentoML keeps a timer
    of each request for a minute, and going through those of a busy one stops every answer for up to 110 ms.
    """
    gc.set_threshold(*gc.get_threshold()[:2], _YOUNG_ROUNDS)
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def tell_age(registry: Registry, version: str) -> None:
    """Of the model that serves from now on."""
    ages = metrics().model
    ages.labels("packaged").set(registry.manifest(version).created.timestamp())
    ages.labels("data").set(registry.card(version).trained_until.timestamp())


def _count(*, hit: bool) -> None:
    metrics().query_cache.labels("hit" if hit else "miss").inc()
