"""Thousands of hostile requests to the running service: `python -m benchmarks.robustness.hostile`.

Every response must be correct or a clean 4xx, no acknowledged event may be lost, and memory must
not grow. Memory does grow until the cache holds 10,000 queries, and BentoML keeps a timer of each
request for a minute, so it is measured only after `--warm` requests. The result is JSON on
standard output. The exit code is 1 if a response was wrong or an event was lost.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx

from benchmarks.robustness.inputs import HostileRequest, hostile_requests, large_request
from benchmarks.robustness.servers import Postgres, Replica, packaged, postgres
from recloop.config import Home
from recloop.store.event_store import EventStore

_CALLERS, _AT_ONCE, _PARTS = 8, 200, 5
# Idle connections are closed before the server closes them, which it does after five seconds.
_LIMITS = httpx.Limits(keepalive_expiry=2)
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def send_all(client: httpx.Client, requests: Iterable[HostileRequest]) -> dict[str, Any]:
    """Send all requests; return counts of the statuses, and every wrong response."""
    statuses: Counter[str] = Counter()
    wrong: list[dict[str, object]] = []
    acknowledged: list[str] = []

    def send(request: HostileRequest) -> None:
        try:
            answer = client.request(
                request.method, request.path, content=request.content, headers=request.headers
            )
        except httpx.HTTPError as error:
            statuses["no response"] += 1
            wrong.append({"kind": request.kind, "path": request.path[:200], "problem": repr(error)})
            return
        statuses[f"{request.kind} {answer.status_code}"] += 1
        problem = find_problem(request, answer)
        if problem:
            sent = request.content[:300].decode("utf-8", "replace")
            wrong.append(
                {"kind": request.kind, "path": request.path[:200], "sent": sent, "problem": problem}
            )
        elif request.sound:
            acknowledged.extend(str(event["event_id"]) for event in request.sound["events"])

    with ThreadPoolExecutor(_CALLERS) as pool:
        source = iter(requests)
        while some := list(itertools.islice(source, _AT_ONCE)):
            list(pool.map(send, some))
    return {
        "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "wrong": wrong,
        "acknowledged": acknowledged,
    }


def find_problem(request: HostileRequest, answer: httpx.Response) -> str | None:
    """Return what is wrong with a response, None if it is correct or a clean refusal."""
    if answer.status_code >= _SERVER_ERROR or (request.sound and not answer.is_success):
        return f"{answer.status_code} {answer.text[:300]}"
    if answer.headers.get("content-type") != "application/json":
        return f"{answer.status_code} without JSON"
    body = answer.json()
    if answer.status_code >= _CLIENT_ERROR:
        fits = body["error"]["request_id"] == answer.headers["x-request-id"]
    elif request.path == "/v1/recommend":
        fits = _is_valid_list(json.loads(request.content), body["items"])
    elif request.path == "/v1/events":
        fits = body["accepted"] + body["duplicates"] == len(json.loads(request.content)["events"])
    else:
        fits = True
    return None if fits else answer.text[:300]


def _is_valid_list(body: dict[str, Any], listed: list[dict[str, Any]]) -> bool:
    items = [item["item_id"] for item in listed]
    excluded = set(body.get("exclude", []))
    return len(set(items)) == len(items) <= body.get("k", 10) and not set(items) & excluded


def run(
    home: Home, requests: int, *, warm: int = 0, seed: int = 1, database: Postgres | None = None
) -> dict[str, Any]:
    """Send `warm` requests, then `requests` more while measuring memory."""
    replica = Replica(home, extra=database.environment if database else {})
    replica.start()
    source = hostile_requests(seed)
    try:
        with httpx.Client(base_url=replica.address, timeout=60, limits=_LIMITS) as client:
            parts, memory = [send_all(client, itertools.islice(source, warm))], [replica.memory()]
            for _ in range(_PARTS):
                parts.append(send_all(client, itertools.islice(source, requests // _PARTS)))
                memory.append(replica.memory())
            parts.append(send_all(client, [large_request(10)] * 5))
            memory.append(replica.memory())
    finally:
        replica.stop()
    store = EventStore(database.url if database else home.database)
    stored = set(store.events()["event_id"])
    store.close()
    acknowledged = {event for part in parts for event in part["acknowledged"]}
    return {
        "requests": sum(part["requests"] for part in parts),
        "seed": seed,
        "store": "postgresql" if database else "sqlite",
        "statuses": dict(sum((Counter(part["statuses"]) for part in parts), Counter())),
        "wrong": [each for part in parts for each in part["wrong"]],
        "acknowledged": len(acknowledged),
        "lost": sorted(acknowledged - stored),
        "memory_bytes": memory,
    }


def main() -> int:
    """Run from the command line, print JSON and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument(
        "--warm", type=int, default=60_000, help="requests before memory is measured"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="use PostgreSQL instead of SQLite")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() if arguments.postgres else nullcontext() as database,
    ):
        home = packaged(Path(folder))
        result = run(
            home, arguments.requests, warm=arguments.warm, seed=arguments.seed, database=database
        )
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return bool(result["wrong"] or result["lost"])


if __name__ == "__main__":
    sys.exit(main())
