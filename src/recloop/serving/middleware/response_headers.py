"""Middleware that adds X-Request-ID and the security headers to every response."""

import re
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-ID"
_LOG_FIELD = "x_request_id"
_VALID_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class ResponseHeadersMiddleware:
    """Adds X-Request-ID and the security headers, unless a header is already set.

    The service mounts it once, around everything else, so that responses to internal errors and
    BentoML's own pages have the headers too. A valid X-Request-ID of the request is kept. Log lines
    of the request contain the id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and set its id and the default headers in the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = sent if _VALID_ID.fullmatch(sent) else uuid.uuid4().hex

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in _DEFAULTS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(**{_LOG_FIELD: request_id}):
            await self._app(scope, receive, send_with_headers)


def current_request_id() -> str | None:
    """Return the X-Request-ID of the request that this task answers, None outside of a request."""
    found: str | None = structlog.contextvars.get_contextvars().get(_LOG_FIELD)
    return found
