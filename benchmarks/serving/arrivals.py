"""Adding new items under load: seconds until all are found, and latencies meanwhile.

`python -m benchmarks.serving.arrivals --items 10000` copies a home with a packaged model to a
temporary folder, starts one worker of this checkout, sends requests of known users at a constant
rate, adds the items in batches, and prints JSON. The last item counts as found when a search for
its title returns it first.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from benchmarks.output import write_json
from benchmarks.robustness.servers import NO_DEADLINE, Replica
from benchmarks.serving.calls import Calls, served_payload
from benchmarks.serving.load import Timing, send_at_rate, summary
from recloop.config import Home
from recloop.settings import read_settings

_BATCH = 1_000
_WARM_UP_SECONDS, _PIECE_SECONDS, _LOOK_SECONDS = 5.0, 1.0, 0.1


def main(
    home: Annotated[Path | None, typer.Option(help="Home with a packaged model.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Number of new items.")] = 10_000,
    rate: Annotated[float, typer.Option(help="Requests per second.")] = 25,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure a copy of the home and print the result."""
    source = Home(home.resolve()) if home else read_settings().home
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copied = Home(Path(name))
        shutil.copytree(source.models / "models", copied.models / "models", symlinks=True)
        shutil.copy(source.champion, copied.champion)
        replica = Replica(copied, workers=1, extra=NO_DEADLINE)
        replica.start()
        try:
            found = arrive(replica.address, Calls(served_payload(copied)), items, rate)
        finally:
            replica.stop()
    write_json(found, out)


def arrive(url: str, calls: Calls, items: int, rate: float) -> dict[str, Any]:
    """Return latencies before the items are sent, and from then until the last one is found."""
    requests = calls.user_requests()
    send_at_rate(url, requests, rate, _WARM_UP_SECONDS)
    before = send_at_rate(url, requests, rate, 10 * _PIECE_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        arriving = pool.submit(_send, url, items, calls.texts())
        during: list[Timing] = []
        while not arriving.done():
            during += send_at_rate(url, requests, rate, _PIECE_SECONDS)
    return {
        "items": items,
        "seconds_until_found": round(arriving.result(), 2),
        "answers_before": summary(before, rate),
        "answers_meanwhile": summary(during, rate),
    }


def _send(url: str, items: int, texts: Iterator[str]) -> float:
    """Send the items and return the seconds from the first batch until the last item is found."""
    started = time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        for first in range(0, items, _BATCH):
            numbers = range(first, min(items, first + _BATCH))
            batch = [_item(number, next(texts)) for number in numbers]
            client.post("/v1/items", json={"items": batch}).raise_for_status()
        last = batch[-1]
        while _first_result(client, str(last["title"])) != last["item_id"]:
            time.sleep(_LOOK_SECONDS)
    return time.perf_counter() - started


def _item(number: int, text: str) -> dict[str, object]:
    item = {"item_id": f"arrival-{number}", "title": f"Arrival {number}", "text": text}
    return {**item, "categories": ["Arrivals"], "attributes": {"year": 2000 + number % 30}}


def _first_result(client: httpx.Client, title: str) -> str | None:
    answer = client.post("/v1/recommend", json={"query": title, "k": 1})
    listed = answer.raise_for_status().json()["items"]
    return listed[0]["item_id"] if listed else None


if __name__ == "__main__":
    typer.run(main)
