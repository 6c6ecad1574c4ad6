"""Send mixed requests from a fixed seed to a running service, and write the lists that it returns.

    python -m benchmarks.versions.record_lists --url http://127.0.0.1:3000 --items items.parquet \
        --interactions interactions.parquet --requests 2000 --seed 1 --out lists.json

Half of the requests go to the service as it started, a quarter follows after changes of items
(`POST /v1/items`, `DELETE /v1/items/{id}`), and the last quarter after events (`POST /v1/events`).
`compare_lists.py` compares two such files.

Three things depend on the clock. The scores of the sequence model depend on the time between the
user's newest event and the request, in classes that end at 180 days. The dates of publication and
expiry of items are compared with the time of the request. Times more than five minutes ahead of the
clock are refused. Therefore four fifths of the requests to recommend hold a fixed time after the
end of the data. The others, and the lists of similar and popular items, use the time of the
service's clock; their results do not change from day to day if the data is older than 180 days, as
that of MovieLens is.

The service must have started with an empty event store, one worker, no deadline
(`RECLOOP_DEADLINE_MS=0`) and no experiment, as `serve_model.py` starts it. The exit code is 1 when
a list was degraded, because such a list depends on how busy the machine was.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import httpx

from benchmarks.versions.live_changes import ItemChange, changed_items, event_batches, new_items
from benchmarks.versions.request_mix import RECOMMEND, Request, RequestMix
from benchmarks.versions.request_parts import Json
from benchmarks.versions.snapshot import Item, Snapshot

_NEW_ITEMS, _CHANGED_ITEMS, _DELETED_ITEMS = 40, 24, 4
_WAIT_SECONDS, _POLL_SECONDS = 60.0, 0.05
_NOT_FOUND = 404
_LISTS = ("items", "popular", "trending")
# Fields of a response that name this run or this home, and do not belong to the list.
_VOLATILE = ("request_id", "model_version")


class Recorder:
    """Sends requests one after another and keeps the results."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.records: list[Json] = []

    def send(self, phase: str, requests: Iterable[Request]) -> None:
        """Send requests and keep a record of each."""
        for request in requests:
            result = _result(self._ask(request))
            record = {"number": len(self.records), "phase": phase}
            self.records.append(record | {"request": request.document(), "result": result})

    def change(self, phase: str, change: ItemChange) -> None:
        """Upsert one item and wait until the service serves it.

        The service encodes new texts in the background and in batches whose size depends on time.
        Sending one item at a time makes every batch the same in every run.

        Raises:
            TimeoutError: The service did not serve the new text within a minute.
            ValueError: The query by which the wait recognises the new text is ambiguous.
        """
        served = self._served(change.item)
        if change.awaited and served():
            raise ValueError(
                f"{change.item.title!r} finds {change.item.item_id} before its upsert."
            )
        self.send(phase, [Request("items", "POST", "/v1/items", {"items": [change.body]})])
        deadline = time.monotonic() + _WAIT_SECONDS
        while change.awaited and not served():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{change.item.item_id} was not served in {_WAIT_SECONDS:g} s.")
            time.sleep(_POLL_SECONDS)

    def delete(self, phase: str, item: Item) -> None:
        """Delete one item."""
        path = f"/v1/items/{quote(item.item_id, safe='')}"
        self.send(phase, [Request("items", "DELETE", path)])

    def _served(self, item: Item) -> Callable[[], bool]:
        """Return a check of whether the service knows the item by this title.

        The service has similar items for a new item once it is served. A known item with another
        title, of words that no other title has, becomes the best match of that title.
        """
        path = f"/v1/items/{quote(item.item_id, safe='')}/similar"
        if self._ask(Request("wait", "GET", path)).status_code == _NOT_FOUND:
            return lambda: self._ask(Request("wait", "GET", path)).is_success
        body = {"query": item.title, "k": 1}

        def found() -> bool:
            listed = self._ask(Request("wait", "POST", RECOMMEND, body)).json()["items"]
            return bool(listed) and listed[0]["item_id"] == item.item_id

        return found

    def _ask(self, request: Request) -> httpx.Response:
        return self._client.request(
            request.method, request.path, json=request.body, params=request.params or None
        )


def record(client: httpx.Client, snapshot: Snapshot, requests: int, seed: int) -> list[Json]:
    """Send all requests and changes, and return a record of each."""
    rng, recorder = random.Random(seed), Recorder(client)  # noqa: S311 - no secret depends on it
    quarter = requests // 4

    recorder.send("packaged", RequestMix(snapshot, rng).take(requests - 2 * quarter))

    changes = new_items(snapshot, rng, _NEW_ITEMS) + changed_items(snapshot, rng, _CHANGED_ITEMS)
    for change in changes:
        recorder.change("items", change)
    live = [change.item for change in changes]
    for item in rng.sample(live[:_NEW_ITEMS], _DELETED_ITEMS // 2):
        recorder.delete("items", item)
    for item in rng.sample(snapshot.items, _DELETED_ITEMS // 2):
        recorder.delete("items", item)
    recorder.send("items", RequestMix(snapshot, rng, live).take(quarter))

    batches, active = event_batches(snapshot, rng, live)
    recorder.send("events", batches)
    recorder.send("events", RequestMix(snapshot, rng, live, active).take(quarter))
    return recorder.records


def _result(response: httpx.Response) -> Json:
    """Return status, lists by their name, and the other fields; of an error its code alone."""
    document = response.json()
    if response.is_error:
        return {"status": response.status_code, "other": {"error": document["error"]["code"]}}
    lists = {name: document[name] for name in _LISTS if name in document}
    other = {name: document[name] for name in document if name not in (*_LISTS, *_VOLATILE)}
    return {"status": response.status_code, "lists": lists, "other": other}


def main() -> int:
    """Read the command line, record, write the file."""
    parser = argparse.ArgumentParser(description="Record the lists of a running service.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--items", type=Path, required=True, help="items.parquet of the snapshot")
    parser.add_argument("--interactions", type=Path, required=True, help="its interactions.parquet")
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    snapshot = Snapshot.read(arguments.items, arguments.interactions)
    with httpx.Client(base_url=arguments.url, timeout=60) as client:
        records = record(client, snapshot, arguments.requests, arguments.seed)
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in records)
    arguments.out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    degraded = [each["number"] for each in records if each["result"]["other"].get("degraded")]
    if degraded:
        sys.stderr.write(f"{len(degraded)} lists were degraded, the first is {degraded[0]}.\n")
    return bool(degraded)


if __name__ == "__main__":
    sys.exit(main())
