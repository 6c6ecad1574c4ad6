"""The load generator waits for nobody, and counts what a reader can count."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

import pytest

from benchmarks.serving.load import Answered, Call, offer, summary
from benchmarks.serving.wire import Wire

TOGETHER = 20


class Handler(BaseHTTPRequestHandler):
    """Answers /together when TOGETHER requests wait for it, and /broken with 500."""

    barrier = threading.Barrier(TOGETHER, timeout=30)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/together":
            self.barrier.wait()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_requests_leave_while_none_has_been_answered(url: str) -> None:
    answers = offer(url, cycle([Call("/together", {})]), rate=1000, seconds=TOGETHER / 1000)
    assert len(answers) == TOGETHER
    assert all(answer.fine for answer in answers)


def test_a_request_waits_where_all_connections_are_busy() -> None:
    busy, most = 0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await reader.readuntil(b"{}")
        await asyncio.sleep(0.01)
        busy -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def ask() -> list[int]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            wire = Wire(f"http://127.0.0.1:{port}", connections=2)
            return await asyncio.gather(*(wire.ask(wire.rendered("/", b"{}")) for _ in range(9)))

    assert asyncio.run(ask()) == [200] * 9
    assert most == 2


def test_a_500_counts_as_an_error(url: str) -> None:
    calls = cycle([Call("/", {}), Call("/", {}), Call("/", {}), Call("/broken", {})])
    found = summary(offer(url, calls, rate=1000, seconds=0.02), 1000)
    assert (found["requests"], found["errors"], found["error_rate"]) == (20, 5, 0.25)


def test_percentiles_are_in_milliseconds() -> None:
    answers = [Answered(number / 1000, 0.0, fine=True) for number in range(101)]
    found = summary(answers, 10)
    assert (found["p50_ms"], found["p95_ms"], found["p99_ms"]) == (50, 95, 99)
