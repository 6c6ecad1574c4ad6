"""The Bento: the API over the champion of this home, which is followed while it serves.

BentoML reads this file in the server's process as well, to learn what is declared here, before a worker
begins: what a worker alone needs is imported when it begins, so that nobody waits for it twice.
"""

import os
from typing import TYPE_CHECKING, Any, cast

import bentoml
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from recloop.serving.cores import keep_to_one_core
from recloop.serving.envelope import Envelope
from recloop.serving.paths import PAGES, PlainPaths
from recloop.serving.renewal import Renewal

if TYPE_CHECKING:
    from recloop.serving.running import Running

_WORKERS = int(os.environ.get("RECLOOP_WORKERS", "1"))

_running: list["Running"] = []


class Api:
    """The API of this worker."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _running[-1].app(scope, receive, send)


_api = Api()


async def everything(scope: Scope, receive: Receive, send: Send) -> None:
    """The API also where it has no route, so that its own answer says so and not BentoML's."""
    await _api({**scope, "root_path": ""}, receive, send)


# Whatever else is not below /v1 is BentoML's.
pages = Starlette(routes=[Route(path, _api) for path in PAGES])


# BentoML's own access log, metrics and traces name paths, in which ids stand; ours name routes. They
# would cost a quarter of an answer, too.
@bentoml.service(
    name="recloop",
    workers=_WORKERS,
    logging={"access": {"enabled": False}},
    # Products of one request are small: threads inside them only wait for each other.
    # Threads that allocate in one place: memory grows by a third of what it does with places of their own.
    envs=[
        {"name": "OPENBLAS_NUM_THREADS", "value": "1"},
        {"name": "MALLOC_ARENA_MAX", "value": "1"},
    ],
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(everything, path="/v1", name="v1")
@bentoml.asgi_app(pages, path="/", name="api")
class RecloopService:
    """Recommendations over HTTP."""

    def __init__(self) -> None:
        from recloop.serving.running import Running  # noqa: PLC0415

        keep_to_one_core(bentoml.server_context.worker_index, _WORKERS)
        self.running = Running()
        _running.append(self.running)

    async def __is_ready__(self) -> bool:
        """Ready once a model answers."""
        return self.running.engine.version is not None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Write what was answered."""
        self.running.engine.stop()


# Around BentoML's own pages too; the decorators have made a service of the class.
cast("Any", RecloopService).add_asgi_middleware(Envelope)
cast("Any", RecloopService).add_asgi_middleware(PlainPaths)
cast("Any", RecloopService).add_asgi_middleware(Renewal)
