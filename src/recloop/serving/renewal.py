"""Connections are renewed now and then, so that workers come to share the work.

A connection stays with the worker that took it, and a client that keeps its connections keeps that share:
one worker may have four fifths of the work as long as it does. A new one goes to whoever is free.
"""

from itertools import cycle

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# So many answers of a worker to one that ends its connection: a new one costs less than a percent of that.
_ANSWERS = 50


class Renewal:
    """The client of every so manieth answer is told to connect anew. For one event loop."""

    def __init__(self, app: ASGIApp, answers: int = _ANSWERS) -> None:
        self._app = app
        self._ending = cycle([*[False] * (answers - 1), True])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not next(self._ending):
            await self._app(scope, receive, send)
            return

        async def ending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, ending)
