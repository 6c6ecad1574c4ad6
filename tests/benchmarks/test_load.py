"""Tests that the load generator sends without waiting for responses, and of its statistics."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

import pytest

from benchmarks.serving.connections import ConnectionPool
from benchmarks.serving.load import Call, Timing, send_at_rate, summary

CONCURRENT = 20


class Handler(BaseHTTPRequestHandler):
    """Server that answers /concurrent once CONCURRENT requests wait, and /broken with 500."""

    barrier = threading.Barrier(CONCURRENT, timeout=30)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/concurrent":
            self.barrier.wait()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Write no log."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_requests_are_sent_while_none_has_been_answered(url: str) -> None:
    calls = cycle([Call("/concurrent", {})])
    timings = send_at_rate(url, calls, rate=1000, seconds=CONCURRENT / 1000)
    assert len(timings) == CONCURRENT
    assert all(timing.success for timing in timings)


def test_a_request_waits_while_all_connections_are_in_use() -> None:
    busy, most, both = 0, 0, asyncio.Barrier(2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await reader.readuntil(b"{}")
        await both.wait()  # answers come in pairs
        busy -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def send_eight() -> list[int]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            pool = ConnectionPool(f"http://127.0.0.1:{port}", connections=2)
            return await asyncio.gather(
                *(pool.send(pool.encode_post("/", b"{}")) for _ in range(8))
            )

    assert asyncio.run(send_eight()) == [200] * 8
    assert most == 2


def test_a_500_counts_as_an_error(url: str) -> None:
    calls = cycle([Call("/", {}), Call("/", {}), Call("/", {}), Call("/broken", {})])
    found = summary(send_at_rate(url, calls, rate=1000, seconds=0.02), 1000)
    assert (found["requests"], found["errors"], found["error_rate"]) == (20, 5, 0.25)


def test_percentiles_are_in_milliseconds() -> None:
    timings = [Timing(number / 1000, 0.0, success=True) for number in range(101)]
    found = summary(timings, 10)
    assert (found["p50_ms"], found["p95_ms"], found["p99_ms"]) == (50, 95, 99)
