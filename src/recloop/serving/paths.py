"""Paths: the pages of the API, and those refused that no router would match."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from recloop.serving.problems import error_answer

# What the API has beside all that is below /v1.
PAGES = ("/", "/docs", "/openapi.json", "/metrics")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class PlainPaths:
    """A control character in a path is a 422, as it is in an id anywhere else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] == "http" and _CONTROL.search(scope["path"]):
            answer = error_answer(422, "invalid_request", "A path holds no control characters.")
        await answer(scope, receive, send)
