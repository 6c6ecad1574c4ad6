"""The Bento: the API over the champion of this home, which is followed while it serves."""

import os
from functools import partial
from typing import Any, cast

import bentoml
from starlette.types import Receive, Scope, Send

from recloop.config import Home
from recloop.data.pseudonyms import Pseudonyms
from recloop.registry.store import Registry
from recloop.serving.app import create_app
from recloop.serving.deadline import DeadlineConfig
from recloop.serving.engine import Engine
from recloop.serving.envelope import Envelope
from recloop.serving.feedback import tell_newest
from recloop.serving.metrics import metrics
from recloop.serving.paths import PlainPaths
from recloop.serving.policy import ServingPolicy
from recloop.serving.prepare import leave_uncollected, tell_age
from recloop.serving.security import SecurityConfig
from recloop.serving.tracing import tracer
from recloop.store.events import EventStore
from recloop.store.naming import claim

_engines: list[Engine] = []
pseudonyms = Pseudonyms.from_environment()
app = create_app(lambda: _engines[-1], SecurityConfig.from_environment(), pseudonyms)


def _loaded(registry: Registry, version: str) -> None:
    tell_age(registry, version)
    leave_uncollected()


async def everything(scope: Scope, receive: Receive, send: Send) -> None:
    """The API also where it has no route, so that its own answer says so and not BentoML's."""
    await app({**scope, "root_path": ""}, receive, send)


# BentoML's own access log, metrics and traces name paths, in which ids stand; ours name routes. They
# would cost a quarter of an answer, too.
@bentoml.service(
    name="recloop",
    workers=int(os.environ.get("RECLOOP_WORKERS", "1")),
    logging={"access": {"enabled": False}},
    # Products of one request are small: threads inside them only wait for each other.
    envs=[{"name": "OPENBLAS_NUM_THREADS", "value": "1"}],
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(everything, path="/v1", name="v1")
@bentoml.asgi_app(app, path="/", name="api")
class RecloopService:
    """Recommendations over HTTP."""

    def __init__(self) -> None:
        home = Home.from_environment()
        poll = float(os.environ.get("RECLOOP_POLL_SECONDS", "0.5"))
        registry, store = Registry(home, pseudonyms.naming), EventStore.of(home)
        claim(store, pseudonyms)
        self.engine = Engine(
            registry,
            home.champion,
            store,
            poll,
            ServingPolicy.from_environment(),
            DeadlineConfig.from_environment(),
            partial(_loaded, registry),
        )
        metrics()
        tracer()
        tell_newest(store)
        self.engine.start()
        _engines.append(self.engine)

    async def __is_ready__(self) -> bool:
        """Ready once a model answers."""
        return self.engine.version is not None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Write what was answered."""
        self.engine.stop()


# Around BentoML's own pages too; the decorators have made a service of the class.
cast("Any", RecloopService).add_asgi_middleware(Envelope)
cast("Any", RecloopService).add_asgi_middleware(PlainPaths)
