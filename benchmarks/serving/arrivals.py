"""New items while people ask: seconds until all are found, and what answers take meanwhile.

`python benchmarks/serving/arrivals.py --items 10000` copies a home with a packaged model to a temporary
folder, starts one worker of this checkout, asks for known users at a constant rate, sends the items in
batches, and prints JSON. The last item is found when the query that is its title is answered with it.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from calls import Calls, served_payload
from load import Answered, offer, summary

from benchmarks.robustness.servers import Replica
from recloop.config import Home

_BATCH = 1_000
_WARM_UP_SECONDS, _PIECE_SECONDS, _LOOK_SECONDS = 5.0, 1.0, 0.1


def main(
    home: Annotated[Path | None, typer.Option(help="With a packaged model.")] = None,
    items: Annotated[int, typer.Option(min=1)] = 10_000,
    rate: Annotated[float, typer.Option(help="Requests a second.")] = 25,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Copy, start, ask, send, print."""
    source = Home(home.resolve()) if home else Home.from_environment()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copied = Home(Path(name))
        shutil.copytree(source.models / "models", copied.models / "models", symlinks=True)
        shutil.copy(source.champion, copied.champion)
        replica = Replica(copied, workers=1, extra={"RECLOOP_DEADLINE_MS": "0"})
        replica.start()
        try:
            found = arrive(replica.address, Calls(served_payload(copied)), items, rate)
        finally:
            replica.stop()
    text = json.dumps(found, indent=2)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


def arrive(url: str, calls: Calls, items: int, rate: float) -> dict[str, Any]:
    """Answers before the items are sent, and from then until the last of them is found."""
    asked = calls.known()
    offer(url, asked, rate, _WARM_UP_SECONDS)
    before = offer(url, asked, rate, 10 * _PIECE_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        arriving = pool.submit(_send, url, items, calls.texts())
        during: list[Answered] = []
        while not arriving.done():
            during += offer(url, asked, rate, _PIECE_SECONDS)
    return {
        "items": items,
        "seconds_until_found": round(arriving.result(), 2),
        "answers_before": summary(before, rate),
        "answers_meanwhile": summary(during, rate),
    }


def _send(url: str, items: int, texts: Iterator[str]) -> float:
    """Seconds from the first batch until the last item is found."""
    started = time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        for first in range(0, items, _BATCH):
            numbers = range(first, min(items, first + _BATCH))
            batch = [_item(number, next(texts)) for number in numbers]
            client.post("/v1/items", json={"items": batch}).raise_for_status()
        last = batch[-1]
        while _first(client, str(last["title"])) != last["item_id"]:
            time.sleep(_LOOK_SECONDS)
    return time.perf_counter() - started


def _item(number: int, text: str) -> dict[str, object]:
    facts = {"item_id": f"arrival-{number}", "title": f"Arrival {number}", "text": text}
    return {**facts, "categories": ["Arrivals"], "attributes": {"year": 2000 + number % 30}}


def _first(client: httpx.Client, title: str) -> str | None:
    answer = client.post("/v1/recommend", json={"query": title, "k": 1})
    listed = answer.raise_for_status().json()["items"]
    return listed[0]["item_id"] if listed else None


if __name__ == "__main__":
    typer.run(main)
