"""Telemetry of every request: a count, a trace span, and a log line at level debug.

All of them contain the route instead of the path, since a path may contain ids.
"""

import time

from opentelemetry.trace import Span
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recloop.logs import get_log
from recloop.serving.telemetry.prometheus import metrics
from recloop.serving.telemetry.tracing import request_span

_NO_ROUTE = "other"
_SERVER_ERROR = 500

log = get_log("access")


class TelemetryMiddleware:
    """Middleware that counts, traces and logs requests.

    An exception that was already answered with status 500 is not raised again: the server would log
    its message, which may quote personal data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on inside a span, and record its status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 0, time.perf_counter()

        async def record_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with request_span(scope["method"], Headers(scope=scope)) as span:
            try:
                await self._app(scope, receive, record_status)
            except Exception:
                if status < _SERVER_ERROR:
                    raise
            finally:
                _record(scope, status, span, time.perf_counter() - started)


def _record(scope: Scope, status: int, span: Span, seconds: float) -> None:
    method, route = scope["method"], getattr(scope.get("route"), "path", _NO_ROUTE)
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    metrics().responses.labels(method, route, status).inc()
    log.debug("answered", method=method, route=route, status=status, ms=round(1_000 * seconds, 1))
