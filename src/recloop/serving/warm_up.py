"""Preparation of a loaded model before it serves, so that no request waits for it."""

import gc
from datetime import UTC, datetime

from recloop.recommender.history import UserHistory
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.registry.versions import Registry
from recloop.scoring.query.vector_cache import CachedEncoder
from recloop.serving.telemetry.prometheus import metrics

# Query vectors in the cache: about 15 MB with 384 numbers each.
_QUERIES = 10_000
_SAMPLE_QUERY = "something"
# Collections of generation 1 before one of generation 2.
_GENERATION_2_THRESHOLD = 1_000


def warm_up(recommender: Recommender) -> Recommender:
    """Return a recommender with a cache of query vectors, after one request to each of its parts.

    Exceptions of the recommender are passed on, so that a model that cannot answer never serves.
    """
    cached = CachedEncoder(recommender.query.encoder, _QUERIES, _count)
    ready = recommender.with_catalogue(
        availability=recommender.availability, query=recommender.query.with_encoder(cached)
    )
    first = recommender.catalogue.ids[:1]
    anonymous = UserHistory.empty()
    state = anonymous.updated_with([(item, "click", 0.0) for item in first], recommender.catalogue)
    now = datetime.now(UTC)
    ready.popular(Request(anonymous, time=now))
    ready.recommend(Request(anonymous, time=now))
    ready.recommend(Request(state, query=_SAMPLE_QUERY, time=now))
    return ready


def freeze_gc() -> None:
    """Exclude the objects of the loaded model from garbage collection, after a full collection.

    A collection that visits a whole model stops all responses. Later full collections are made
    rare, too: BentoML keeps a timer for each request of the last minute, and visiting those of a
    busy service stops all responses for up to 110 ms.
    """
    gc.set_threshold(*gc.get_threshold()[:2], _GENERATION_2_THRESHOLD)
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def set_model_age(registry: Registry, version: str) -> None:
    """Set the metrics of the model's time of packaging and of the end of its training data.

    Raises:
        UnknownVersionError: The registry does not have the version.
    """
    ages = metrics().model
    ages.labels("packaged").set(registry.manifest(version).created.timestamp())
    ages.labels("data").set(registry.config(version).trained_until.timestamp())


def _count(*, hit: bool) -> None:
    metrics().query_cache.labels("hit" if hit else "miss").inc()
