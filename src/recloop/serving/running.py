"""The API over the champion of this home, put together as the environment says."""

import os
from functools import partial

from recloop.config import Home
from recloop.data.pseudonyms import Pseudonyms
from recloop.registry.store import Registry
from recloop.serving.app import create_app
from recloop.serving.deadline import DeadlineConfig
from recloop.serving.engine import Engine
from recloop.serving.feedback import tell_newest
from recloop.serving.metrics import metrics
from recloop.serving.policy import ServingPolicy
from recloop.serving.prepare import leave_uncollected, tell_age
from recloop.serving.security import SecurityConfig
from recloop.serving.tracing import tracer
from recloop.store.events import EventStore
from recloop.store.naming import claim


class Running:
    """What one worker runs: an engine that follows the champion, and the application over it.

    Raises:
        ConfigError, NamingError: what is meant to protect does not fit, and nothing is served.
    """

    def __init__(self) -> None:
        home, pseudonyms = Home.from_environment(), Pseudonyms.from_environment()
        self.app = create_app(lambda: self.engine, SecurityConfig.from_environment(), pseudonyms)
        registry, store = Registry(home, pseudonyms.naming), EventStore.of(home)
        claim(store, pseudonyms)
        self.engine = Engine(
            registry,
            home.champion,
            store,
            float(os.environ.get("RECLOOP_POLL_SECONDS", "0.5")),
            ServingPolicy.from_environment(),
            DeadlineConfig.from_environment(),
            partial(_loaded, registry),
        )
        metrics()
        tracer()
        tell_newest(store)
        self.engine.start()


def _loaded(registry: Registry, version: str) -> None:
    tell_age(registry, version)
    leave_uncollected()
