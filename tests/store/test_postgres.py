"""The guarantees of the store on a real PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from recloop.columns import Event
from recloop.store import tables
from recloop.store.api_keys import KeyStore
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from recloop.store.item_store import ItemStore
from recloop.store.retention import Retention, expire
from recloop.store.scopes import Scope
from tests.support.toy_recommender import film
from tests.support.waiting import until

NOW = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def store(url):
    store = EventStore(url)
    yield store
    store.close()


def event(name: str, item: str = "i", user: str = "u") -> StoredEvent:
    return StoredEvent(name, user, item, NOW, Event.RATING, 4.5, "q", "s", "r")


def answer(request: str, user: str, erasure: int = 0) -> ServedList:
    return ServedList(request, user, NOW, "v1", "champion", ["i"], [1.0], [1.0], erasure=erasure)


def test_events_are_stored_once_and_read_as_written(store) -> None:
    assert store.append([event("a"), event("b"), event("a")]) == 2
    assert store.append([event("b", item="other"), event("c")]) == 1
    assert store.events()["item_id"].to_list() == ["i", "i", "i"]
    assert store.events()["timestamp"].to_list() == [NOW] * 3
    assert store.recent("u", after=1, limit=9) == [("i", "rating", NOW.timestamp())] * 2
    assert store.append_served([answer("r", "u")]) == 1
    assert store.append_served([answer("r", "u")]) == 0
    assert store.served()["items"].to_list() == [["i"]]


def test_two_replicas_may_create_the_tables_at_once(url) -> None:
    ready = threading.Barrier(8)

    def start(_: int) -> int:
        ready.wait()
        store = EventStore(url)
        ItemStore(store.engine)
        store.close()
        return KeyStore(url).read() == []

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(start, range(8))) == [True] * 8


def test_a_snapshot_waits_for_uncommitted_events_with_smaller_numbers(store) -> None:
    """The first writer has number 1 and commits last; the second has number 2."""
    with store.engine.begin() as slow:
        slow.execute(sa.insert(tables.events).values(_row("first")))
        store.append([event("second")])
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(store.feedback)
            _until_a_lock_is_awaited(store.engine)
            slow.commit()
            found = reading.result(30)
    assert found.events["event_id"].to_list() == ["first", "second"]
    assert found.until == 2


def test_an_erasure_deletes_uncommitted_events(store) -> None:
    with store.engine.begin() as slow:
        slow.execute(sa.insert(tables.events).values(_row("late")))
        with ThreadPoolExecutor(1) as pool:
            erasing = pool.submit(store.personal.erase, "u", NOW)
            _until_a_lock_is_awaited(store.engine)
            slow.commit()
            erased = erasing.result(30)
    assert erased.events == 1
    assert store.events().height == 0
    assert store.append_served([answer("before", "u"), answer("after", "u", erased.seq)]) == 1
    assert store.personal.erase("u", NOW).seq > erased.seq
    assert store.feedback().until == store.personal.last_erasure("u")


def test_item_changes_are_numbered_in_commit_order(store, url) -> None:
    other = EventStore(url)
    stores = [ItemStore(each.engine) for each in (store, other)] * 4
    seen: list[str] = []
    done = threading.Event()

    def follow() -> None:
        """Read the changes after the last number repeatedly, as a worker does."""
        after = 0
        while True:
            ending = done.is_set()
            items, after = stores[0].changes(after)
            seen.extend(item.item_id for item in items)
            if ending and not items:
                return

    with ThreadPoolExecutor(9) as pool:
        following = pool.submit(follow)
        batches = [[film(f"{n}-{i}") for i in range(20)] for n in range(8)]
        list(pool.map(lambda pair: pair[0].upsert(pair[1]), zip(stores, batches, strict=True)))
        done.set()
        following.result(30)
    assert sorted(seen) == sorted(item.item_id for batch in batches for item in batch)
    other.close()


def test_old_rows_expire_and_keys_stay(store, url) -> None:
    store.append([event("a")])
    assert expire(store, Retention(events_days=1), datetime(2100, 1, 1, tzinfo=UTC)).events == 1
    keys = KeyStore(url)
    _, token = keys.create("shop", [Scope.INGEST], NOW)
    (key,) = keys.read()
    assert key.matches(token)
    assert store.append([event("b")]) == 1
    assert store.feedback().until == 2  # numbers are not reused


def _row(name: str) -> dict[str, object]:
    facts = {"event_id": name, "user_id": "u", "item_id": "i", "event": "click"}
    return {**facts, "micros": 1, "received_micros": 1}


def _until_a_lock_is_awaited(engine: sa.Engine) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        until(lambda: connection.execute(waiting).scalar())
