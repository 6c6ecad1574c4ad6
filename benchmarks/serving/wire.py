"""HTTP/1.1 as a load generator needs it: requests that are bytes already, answers that are a status.

A client library takes a third of a millisecond for a request, a sixth of what the service itself takes:
on one machine, that much of the load would be the generator's own.
"""

import asyncio
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import httptools

_SECONDS = 30.0
# What waits for answers is watched with `select`, which knows no file beyond the 1,024th.
_CONNECTIONS = 900


class Wire:
    """Connections to one server, kept open and used in turn, the one that has rested longest first.

    A request waits where `connections` are busy.
    """

    def __init__(self, url: str, connections: int = _CONNECTIONS) -> None:
        self._free = asyncio.Semaphore(connections)
        told = urlsplit(url)
        self._host, self._port = told.hostname or "", told.port or 80
        self._resting: deque[_Connection] = deque()

    def rendered(self, path: str, body: bytes) -> bytes:
        """A POST of JSON."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def ask(self, request: bytes) -> int:
        """The status of the answer, once all of it is there. Raises OSError, TimeoutError."""
        async with asyncio.timeout(_SECONDS), self._free:
            connection = await self._connection()
            try:
                status = await connection.ask(request)
            except BaseException:
                connection.close()
                raise
        if connection.open:
            self._resting.append(connection)
        return status

    def close(self) -> None:
        """All that rest."""
        for connection in self._resting:
            connection.close()

    async def _connection(self) -> "_Connection":
        while self._resting:
            connection = self._resting.popleft()
            if connection.open:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, self._host, self._port))[1]


class _Connection(asyncio.Protocol):
    """For one request at a time. `open`: there may be another one."""

    def __init__(self) -> None:
        self.open = True
        self._transport = asyncio.Transport()
        self._answered: asyncio.Future[int] | None = None

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        self._parser = httptools.HttpResponseParser(self)
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Of the parser."""
        if not self._parser.should_keep_alive():
            self.open = False
            self._transport.close()
        if self._answered and not self._answered.done():
            self._answered.set_result(self._parser.get_status_code())

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionResetError(str(error or "closed by the server")))
