"""Replay recorded interactions as live traffic: request lists, then send the recorded events."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl
from pydantic import SecretStr

from flows.shell import CHECKOUT
from recloop import columns as c
from recloop.config import Home, read_block
from recloop.data.contract import conform_interactions
from recloop.data.snapshot import SnapshotConfig, split_by_time_share
from recloop.data.sources import open_source
from recloop.store.event_store import EventStore

_THREADS = 4
K = 10


@dataclass
class ReplayCounts:
    """Counts of a replay. `hits` counts the requests whose list contained a recorded item."""

    requests: int = 0
    events: int = 0
    skipped: int = 0
    hits: int = 0
    errors: int = 0

    def add(self, other: "ReplayCounts") -> None:
        """Add another replay's counts to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def read_live_interactions(home: Home) -> pl.DataFrame:
    """Read the source's interactions after the share that counts as history.

    The columns are those of `recloop.data.frame_schemas.INTERACTIONS`.
    """
    config = read_block("snapshot", SnapshotConfig, CHECKOUT / "params.yaml")
    raw = open_source(config.source, str(home.sources)).read()
    rows = conform_interactions(raw.interactions, config.source.default_event).rows
    return split_by_time_share(rows, config.history_share)[1]


def replay(
    later: pl.DataFrame,
    home: Home,
    service: str,
    progress: Callable[[int], None],
    key: SecretStr | None = None,
) -> ReplayCounts:
    """Replay each user's requests in order, several users at a time; skip events that are stored.

    Args:
        later: Interactions with the columns of `recloop.data.frame_schemas.INTERACTIONS`.
        home: Where the running system keeps its data.
        service: Address of the service.
        progress: Called after each user with the number of that user's requests.
        key: API key.
    """
    stored = set(EventStore.of(home).events()["event_id"])
    users = later.partition_by(c.USER, maintain_order=True)
    total = ReplayCounts()
    with client_of(service, key) as client, ThreadPoolExecutor(_THREADS) as pool:
        for counts in pool.map(lambda user: _replay_user(user, client, stored), users):
            total.add(counts)
            progress(counts.requests + counts.skipped)
    return total


def client_of(service: str, key: SecretStr | None) -> httpx.Client:
    """Return a client of the service that sends `key` with every request."""
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    return httpx.Client(base_url=service, timeout=30, headers=headers)


def count_requests(later: pl.DataFrame) -> int:
    """Count the requests of a replay: one for each user and time.

    Args:
        later: Interactions with the columns user_id and timestamp.
    """
    return later.select(c.USER, c.TIME).unique().height


def _replay_user(user: pl.DataFrame, client: httpx.Client, stored: set[str]) -> ReplayCounts:
    counts = ReplayCounts()
    for moment in user.partition_by(c.TIME, maintain_order=True):
        rows = [row for row in moment.iter_rows(named=True) if _event_id(row) not in stored]
        if not rows:
            counts.skipped += 1
            continue
        counts.requests += 1
        try:
            _replay_request(rows, client, counts)
        except httpx.HTTPError:
            counts.errors += 1
    return counts


def _replay_request(
    rows: Sequence[dict[str, Any]], client: httpx.Client, counts: ReplayCounts
) -> None:
    when = rows[0][c.TIME].isoformat()
    body = {"user_id": rows[0][c.USER], "k": K, "context": {"timestamp": when}}
    response = client.post("/v1/recommend", json=body).raise_for_status().json()
    shown = {item["item_id"] for item in response["items"]}
    events = list(_events(rows, response["request_id"], shown))
    client.post("/v1/events", json={"events": events}).raise_for_status()
    counts.events += len(events)
    counts.hits += any(row[c.ITEM] in shown for row in rows)


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
