"""BentoML service: the HTTP API over the champion of this home.

BentoML imports this file also in the supervising process, which only reads its declarations. What
only a worker needs is imported when the worker starts, so that nobody waits for it twice.
"""

import os
import signal
from typing import Any, NoReturn, cast

import bentoml
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from recloop.logs import get_log
from recloop.serving.cpu_affinity import keep_to_one_core
from recloop.serving.middleware.connection_recycling import ConnectionRecycling
from recloop.serving.middleware.control_characters import PAGES, ControlCharacterGuard
from recloop.serving.middleware.response_headers import ResponseHeadersMiddleware
from recloop.settings import read_settings

_WORKERS = read_settings().workers


class Api:
    """ASGI application of the service instance that this worker runs."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application of the running service."""
        await bentoml.get_current_service().app(scope, receive, send)


_api = Api()


async def versioned(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass every path below /v1 to the API, which also answers paths that do not exist."""
    await _api({**scope, "root_path": ""}, receive, send)


# Every other path outside of /v1 belongs to BentoML.
pages = Starlette(routes=[Route(path, _api) for path in PAGES])


# BentoML's own access log, metrics and traces contain paths, and paths contain ids. Ours contain
# routes. BentoML's would also add a quarter to the CPU time of a response.
@bentoml.service(
    name="recloop",
    workers=_WORKERS,
    logging={"access": {"enabled": False}},
    # The matrix products of one request are small: threads inside of them only wait for each other.
    # One malloc arena for all threads: memory grows by a third of what it does with one for each.
    envs=[
        {"name": "OPENBLAS_NUM_THREADS", "value": "1"},
        {"name": "MALLOC_ARENA_MAX", "value": "1"},
    ],
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(versioned, path="/v1", name="v1")
@bentoml.asgi_app(pages, path="/", name="api")
class RecloopService:
    """Recommendations over HTTP."""

    def __init__(self) -> None:
        from recloop.serving.build import STARTUP_ERRORS, build_service  # noqa: PLC0415

        worker = bentoml.server_context.worker_index
        keep_to_one_core(worker, _WORKERS)
        try:
            self.engine, self.app = build_service()
        except STARTUP_ERRORS as error:
            if worker is None:  # there is no supervising process
                raise
            _end_service(str(error))

    async def __is_ready__(self) -> bool:
        """Return whether a model is loaded."""
        return self.engine.version is not None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Stop the engine, which writes the remaining served lists."""
        self.engine.stop()


def _end_service(reason: str) -> NoReturn:
    """Log why the service cannot start, and end it.

    BentoML would log a stack trace and start the worker again for ever.
    """
    get_log("service").error("the service cannot start", reason=reason)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


# The decorators made a BentoML service of the class. These middlewares also wrap BentoML's pages.
cast("Any", RecloopService).add_asgi_middleware(ResponseHeadersMiddleware)
cast("Any", RecloopService).add_asgi_middleware(ControlCharacterGuard)
cast("Any", RecloopService).add_asgi_middleware(ConnectionRecycling)
