"""What every answer carries: X-Request-ID and the security headers."""

import re
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-ID"
_LOGGED_AS = "x_request_id"
_SEALED = "recloop.sealed"
_SANE = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Envelope:
    """Outermost: also around the answer to a mistake of ours. A header that is set already stays.

    One inside another does nothing. The request's own X-Request-ID is kept where it is sane; lines
    logged meanwhile carry it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SEALED in scope:
            await self._app(scope, receive, send)
            return
        scope[_SEALED] = True
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = sent if _SANE.fullmatch(sent) else uuid.uuid4().hex

        async def seal(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in _DEFAULTS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(**{_LOGGED_AS: request_id}):
            await self._app(scope, receive, seal)


def current_request_id() -> str | None:
    """The X-Request-ID of the request that is being answered, None outside of one."""
    found: str | None = structlog.contextvars.get_contextvars().get(_LOGGED_AS)
    return found
