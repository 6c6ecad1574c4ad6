"""Thousands of hostile requests to the running service: `python -m benchmarks.robustness.hostile`.

Every answer must be a clean 4xx or a correct one, nothing that was taken in may be lost, and memory
must not grow. The result is JSON on standard output; the exit code is 1 where one of it does not hold.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.robustness.inputs import Asked, hostile, large
from benchmarks.robustness.servers import Replica, packaged
from recloop.config import Home
from recloop.store.events import EventStore

_CALLERS, _AT_ONCE = 8, 200
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


def run(home: Home, requests: int, seed: int = 1) -> dict[str, Any]:
    """Warm up with a fifth of them, then watch the memory."""
    replica = Replica(home)
    replica.start()
    source = hostile(seed)
    try:
        with httpx.Client(base_url=replica.address, timeout=60) as client:
            parts = [bombard(client, itertools.islice(source, requests // 5))]
            before = replica.memory()
            parts.append(bombard(client, itertools.islice(source, requests - requests // 5)))
            parts.append(bombard(client, [large(10)] * 5))
            after = replica.memory()
    finally:
        replica.stop()
    store = EventStore.of(home)
    stored = set(store.events()["event_id"])
    store.close()
    acknowledged = {event for part in parts for event in part["acknowledged"]}
    return {
        "requests": sum(part["requests"] for part in parts),
        "seed": seed,
        "statuses": dict(sum((Counter(part["statuses"]) for part in parts), Counter())),
        "wrong": [each for part in parts for each in part["wrong"]],
        "acknowledged": len(acknowledged),
        "lost": sorted(acknowledged - stored),
        "memory_bytes": {"before": before, "after": after},
    }


def main() -> int:
    """Read the command line, run, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(packaged(Path(folder)), told.requests, told.seed)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return bool(result["wrong"] or result["lost"])


if __name__ == "__main__":
    sys.exit(main())
