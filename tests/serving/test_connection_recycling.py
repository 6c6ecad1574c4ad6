"""Every nth response closes its connection, and clients that follow it lose no request."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from recloop.serving.middleware.connection_recycling import ConnectionRecycling


def test_every_third_response_closes_its_connection() -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("yes"))])
    client = TestClient(ConnectionRecycling(app, responses=3))
    answers = [client.get("/") for _ in range(6)]
    assert [answer.text for answer in answers] == ["yes"] * 6
    kept, ended = None, "close"
    assert [answer.headers.get("connection") for answer in answers] == [kept, kept, ended] * 2
