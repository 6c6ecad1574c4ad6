"""What is seen of every request: a count, a span, and a line at level debug; by route, never by path."""

import time

from opentelemetry.trace import Span
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recloop.logs import get_log
from recloop.serving.metrics import metrics
from recloop.serving.tracing import traced

_NO_ROUTE = "other"
_MISTAKE = 500

log = get_log("access")


class Observed:
    """Around the application. An error that has been answered and logged ends here.

    A server above would log it with its message, which may quote people's data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 0, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with traced(scope["method"], Headers(scope=scope)) as span:
            try:
                await self._app(scope, receive, noting)
            except Exception:
                if status < _MISTAKE:
                    raise
            finally:
                _note(scope, status, span, time.perf_counter() - began)


def _note(scope: Scope, status: int, span: Span, seconds: float) -> None:
    method, route = scope["method"], getattr(scope.get("route"), "path", _NO_ROUTE)
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    metrics().answers.labels(method, route, status).inc()
    log.debug("answered", method=method, route=route, status=status, ms=round(1_000 * seconds, 1))
