"""Refusal of paths with control characters, which no route would match."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from recloop.serving.errors import error_response

# Paths of the API outside of /v1.
PAGES = ("/", "/docs", "/openapi.json", "/metrics")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ControlCharacterGuard:
    """Middleware that answers a path with control characters with 422, like an id in a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 422 to a path with control characters; pass any other request on."""
        answer = self._app
        if scope["type"] == "http" and _CONTROL.search(scope["path"]):
            answer = error_response(
                422, "invalid_request", "The path must not contain control characters."
            )
        await answer(scope, receive, send)
