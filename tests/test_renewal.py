"""Connections end after so many answers, and a client that reads its headers loses nothing."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from recloop.serving.renewal import Renewal


def test_every_third_answer_ends_its_connection() -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("yes"))])
    client = TestClient(Renewal(app, answers=3))
    answers = [client.get("/") for _ in range(6)]
    assert [answer.text for answer in answers] == ["yes"] * 6
    kept, ended = None, "close"
    assert [answer.headers.get("connection") for answer in answers] == [kept, kept, ended] * 2
