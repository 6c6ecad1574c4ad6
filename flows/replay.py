"""Live traffic out of recorded data: ask for recommendations, then report what really happened."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

from flows.shell import CHECKOUT
from recloop import columns as c
from recloop.config import Home, read_block
from recloop.data.contract import conform_interactions
from recloop.data.snapshot import SnapshotConfig, divide
from recloop.data.sources import open_source
from recloop.store.events import EventStore

_CALLERS = 4
K = 10


@dataclass
class Tally:
    """What a replay did. `hits`: requests whose list held something that the user then took."""

    requests: int = 0
    events: int = 0
    skipped: int = 0
    hits: int = 0
    errors: int = 0

    def add(self, other: "Tally") -> None:
        """Sum, field by field."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def later_stretch(home: Home) -> pl.DataFrame:
    """The source's interactions after the share that counts as history."""
    config = read_block("snapshot", SnapshotConfig, CHECKOUT / "params.yaml")
    raw = open_source(config.source, str(home.sources)).read()
    rows = conform_interactions(raw.interactions, config.source.default_event).rows
    return divide(rows, config.history)[1]


def replay(later: pl.DataFrame, home: Home, service: str, progress: Callable[[int], None]) -> Tally:
    """Each user's moments in order, several users at a time; what is stored already is skipped."""
    known = set(EventStore.of(home).events()["event_id"])
    users = later.partition_by(c.USER, maintain_order=True)
    total = Tally()
    with client_of(service) as client, ThreadPoolExecutor(_CALLERS) as pool:
        for tally in pool.map(lambda user: _replay_user(user, client, known), users):
            total.add(tally)
            progress(tally.requests + tally.skipped)
    return total


def client_of(service: str) -> httpx.Client:
    """A client of the service; with the key in RECLOOP_API_KEY where the service asks for one."""
    key = os.environ.get("RECLOOP_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=service, timeout=30, headers=headers)


def moments(later: pl.DataFrame) -> int:
    """How many requests a replay of this stretch consists of."""
    return later.select(c.USER, c.TIME).unique().height


def _replay_user(user: pl.DataFrame, client: httpx.Client, known: set[str]) -> Tally:
    tally = Tally()
    for moment in user.partition_by(c.TIME, maintain_order=True):
        rows = [row for row in moment.iter_rows(named=True) if _event_id(row) not in known]
        if not rows:
            tally.skipped += 1
            continue
        tally.requests += 1
        try:
            _replay_moment(rows, client, tally)
        except httpx.HTTPError:
            tally.errors += 1
    return tally


def _replay_moment(rows: Sequence[dict[str, Any]], client: httpx.Client, tally: Tally) -> None:
    when = rows[0][c.TIME].isoformat()
    asked = {"user_id": rows[0][c.USER], "k": K, "context": {"timestamp": when}}
    answer = client.post("/v1/recommend", json=asked).raise_for_status().json()
    shown = {item["item_id"] for item in answer["items"]}
    events = list(_events(rows, answer["request_id"], shown))
    client.post("/v1/events", json={"events": events}).raise_for_status()
    tally.events += len(events)
    tally.hits += any(row[c.ITEM] in shown for row in rows)


def _events(
    rows: Iterable[dict[str, Any]], request_id: str, shown: set[str]
) -> Iterable[dict[str, Any]]:
    for row in rows:
        event = {name: row[name] for name in (c.USER, c.ITEM, c.EVENT, c.VALUE)}
        event |= {"event_id": _event_id(row), c.TIME: row[c.TIME].isoformat()}
        yield event | ({c.REQUEST: request_id} if row[c.ITEM] in shown else {})


def _event_id(row: dict[str, Any]) -> str:
    text = "|".join(str(row[name]) for name in (c.USER, c.ITEM, c.TIME, c.EVENT))
    return f"replay-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
