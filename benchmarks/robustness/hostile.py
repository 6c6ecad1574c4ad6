"""Thousands of hostile requests to the running service: `python -m benchmarks.robustness.hostile`.

Every answer must be a clean 4xx or a correct one, nothing that was taken in may be lost, and memory
must not grow. It does so until 10,000 queries are kept, and BentoML keeps a timer of each request for a
minute: memory is watched once both are full. The result is JSON on standard output; the exit code is 1
where an answer was wrong or an event was lost.
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

from benchmarks.robustness.inputs import Asked, hostile, large
from benchmarks.robustness.servers import Postgres, Replica, packaged, postgres
from recloop.config import Home
from recloop.store.events import EventStore

_CALLERS, _AT_ONCE, _PARTS = 8, 200, 5
# Let go before the server does, which waits for five seconds.
_LIMITS = httpx.Limits(keepalive_expiry=2)
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def bombard(client: httpx.Client, asked: Iterable[Asked]) -> dict[str, Any]:
    """Send all of them; what came back, and every answer that should not have come."""
    statuses: Counter[str] = Counter()
    wrong: list[dict[str, object]] = []
    acknowledged: list[str] = []

    def send(one: Asked) -> None:
        try:
            answer = client.request(one.method, one.path, content=one.content, headers=one.headers)
        except httpx.HTTPError as error:
            statuses["cut"] += 1
            wrong.append({"kind": one.kind, "path": one.path[:200], "problem": repr(error)})
            return
        statuses[f"{one.kind} {answer.status_code}"] += 1
        problem = complaint(one, answer)
        if problem:
            sent = one.content[:300].decode("utf-8", "replace")
            wrong.append(
                {"kind": one.kind, "path": one.path[:200], "sent": sent, "problem": problem}
            )
        elif one.sound:
            acknowledged.extend(str(event["event_id"]) for event in one.sound["events"])

    with ThreadPoolExecutor(_CALLERS) as pool:
        source = iter(asked)
        while some := list(itertools.islice(source, _AT_ONCE)):
            list(pool.map(send, some))
    return {
        "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "wrong": wrong,
        "acknowledged": acknowledged,
    }


def complaint(asked: Asked, answer: httpx.Response) -> str | None:
    """What is wrong with an answer, None where it is a clean refusal or a correct one."""
    if answer.status_code >= _SERVER_ERROR or (asked.sound and not answer.is_success):
        return f"{answer.status_code} {answer.text[:300]}"
    if answer.headers.get("content-type") != "application/json":
        return f"{answer.status_code} without JSON"
    body = answer.json()
    if answer.status_code >= _CLIENT_ERROR:
        fits = body["error"]["request_id"] == answer.headers["x-request-id"]
    elif asked.path == "/v1/recommend":
        fits = _keeps_the_rules(json.loads(asked.content), body["items"])
    elif asked.path == "/v1/events":
        fits = body["accepted"] + body["duplicates"] == len(json.loads(asked.content)["events"])
    else:
        fits = True
    return None if fits else answer.text[:300]


def _keeps_the_rules(told: dict[str, Any], listed: list[dict[str, Any]]) -> bool:
    items = [item["item_id"] for item in listed]
    excluded = set(told.get("exclude", []))
    return len(set(items)) == len(items) <= told.get("k", 10) and not set(items) & excluded


def run(
    home: Home, requests: int, *, warm: int = 0, seed: int = 1, database: Postgres | None = None
) -> dict[str, Any]:
    """`warm` requests, and then as many as are asked for while the memory is watched."""
    replica = Replica(home, extra=database.environment if database else {})
    replica.start()
    source = hostile(seed)
    try:
        with httpx.Client(base_url=replica.address, timeout=60, limits=_LIMITS) as client:
            parts, memory = [bombard(client, itertools.islice(source, warm))], [replica.memory()]
            for _ in range(_PARTS):
                parts.append(bombard(client, itertools.islice(source, requests // _PARTS)))
                memory.append(replica.memory())
            parts.append(bombard(client, [large(10)] * 5))
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
    """Read the command line, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--warm", type=int, default=60_000, help="before memory is watched")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="instead of SQLite")
    told = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() if told.postgres else nullcontext() as database,
    ):
        home = packaged(Path(folder))
        result = run(home, told.requests, warm=told.warm, seed=told.seed, database=database)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return bool(result["wrong"] or result["lost"])


if __name__ == "__main__":
    sys.exit(main())
