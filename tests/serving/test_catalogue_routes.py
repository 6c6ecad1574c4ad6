"""Changed items in the store, in the next snapshot, and over HTTP in two workers."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import polars as pl
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from recloop import columns as c
from recloop.data.contract import conform_items
from recloop.data.frame_schemas import ITEMS
from recloop.data.live_items import LiveItem, apply_live_items, to_frame
from recloop.data.snapshot import SnapshotConfig, take_snapshot
from recloop.data.sources import RawData
from recloop.registry.champion import write_champion
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.store.event_store import EventStore, StoredEvent
from recloop.store.item_store import ItemStore
from tests.support import faults, tiny_model
from tests.support.toy_recommender import film, gone, recommender
from tests.support.waiting import until

LATER = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FULL = LiveItem("a", "A", "text", ("x", "y"), '{"price": 2}', LATER, LATER + timedelta(days=1))


@pytest.fixture
def events(tmp_path):
    store = EventStore.at(tmp_path / "events.db")
    yield store
    store.close()


def test_items_are_read_as_written_and_the_newest_version_counts(events) -> None:
    store = ItemStore(events.engine)
    assert store.changes(after=0) == ([], 0)
    store.upsert([film("b"), FULL])
    assert store.changes(after=0) == ([film("b"), FULL], 2)
    store.upsert([film("b", title="other"), film("b", available=False)])
    assert store.changes(after=2) == ([film("b", available=False)], 4)
    assert store.changes(after=4) == ([], 4)


def test_a_deleted_item_keeps_its_fields(events) -> None:
    store = ItemStore(events.engine)
    store.upsert([FULL])
    store.delete("a")
    store.delete("unknown")
    (a, other), sequence = store.changes(after=1)
    assert (a.title, a.text, a.deleted, a.available) == ("A", "text", True, False)
    assert (other, sequence) == (gone("unknown"), 3)
    store.upsert([FULL])
    assert store.changes(after=3) == ([FULL], 4)


def test_concurrent_writers_take_different_numbers(events, tmp_path) -> None:
    other = EventStore.at(tmp_path / "events.db")
    stores = [ItemStore(each.engine) for each in (events, other)] * 4
    with ThreadPoolExecutor(8) as pool:
        batches = [[film(f"{n}-{i}") for i in range(20)] for n in range(8)]
        list(pool.map(lambda pair: pair[0].upsert(pair[1]), zip(stores, batches, strict=True)))
    items, sequence = stores[0].changes(after=0)
    assert (len(items), sequence) == (160, 160)
    other.close()


SOURCE = conform_items(
    pl.DataFrame({"item_id": ["a", "b", "c", "d"], "title": ["old", "B", "C", "D"]})
).rows


def test_the_next_snapshot_contains_live_items() -> None:
    changed = [
        FULL,
        gone("b"),
        film("c", available=False, deleted=True),
        film("new"),
        gone("nothing"),
    ]
    merged = apply_live_items(SOURCE, changed)
    assert merged.schema == SOURCE.schema
    rows = {row[c.ITEM]: row for row in merged.rows(named=True)}
    assert (rows["a"][c.TITLE], rows["a"][c.PUBLISHED], rows["a"][c.AVAILABLE]) == (
        "A",
        LATER,
        True,
    )
    available = {item: row[c.AVAILABLE] for item, row in rows.items()}
    assert available == {"a": True, "b": False, "c": False, "d": True, "new": True}
    assert rows["b"][c.TITLE] == "B"
    assert apply_live_items(SOURCE, []).equals(SOURCE)


def test_events_of_a_live_item_are_in_the_snapshot(events) -> None:
    raw = RawData(
        pl.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": [1]}),
        pl.DataFrame({"item_id": ["a"], "title": ["A"]}),
    )
    events.append([StoredEvent("e", "u", "new", LATER, c.Event.CLICK)])
    snapshot = take_snapshot(raw, events.events(), SnapshotConfig(), live=[film("new")])
    assert snapshot.interactions[c.ITEM].to_list() == ["a", "new"]
    assert snapshot.items[c.ITEM].to_list() == ["a", "new"]
    assert snapshot.items.equals(
        pl.concat([conform_items(raw.items).rows, to_frame([film("new")])])
    )


@pytest.fixture
def worker(tmp_path):
    """Return a function that starts a worker; all workers share one store.

    Only a running worker encodes new items by itself.
    """
    pointer, workers = tmp_path / "champion.json", []
    write_champion(pointer, "v1", [])

    def start(*, running: bool = False) -> tuple[TestClient, Engine]:
        store = EventStore.at(tmp_path / "events.db")
        engine = Engine(faults.Models(recommender()), pointer, store, poll_seconds=0.01)
        if running:
            engine.start()
        engine.refresh()
        workers.append((engine, store, running))
        return TestClient(create_app(engine)), engine

    yield start
    for engine, store, running in workers:
        engine.stop() if running else store.close()


def item(name: str, **changes: object) -> dict[str, object]:
    facts = {"item_id": name, "title": f"Film {name}", "categories": [name.rstrip("1234")]}
    return {**facts, **changes}


def put(client: TestClient, *items: dict[str, object]):
    return client.post("/v1/items", json={"items": list(items)})


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["item_id"] for each in answer.json()["items"]]


def recommended(client: TestClient, **body: object) -> list[str]:
    return ids(client.post("/v1/recommend", json=body))


def test_availability_is_in_effect_from_the_next_request_in_every_worker(worker) -> None:
    (one, _), (other, _) = worker(), worker()
    assert put(one, item("east1", available=False)).json() == {"accepted": 1}
    assert recommended(other)[:2] == ["east2", "north1"]
    put(other, item("east1"), item("north1", expires_at="2020-01-01T00:00:00+02:00"))
    assert recommended(one)[:3] == ["east1", "east2", "north2"]
    assert one.delete("/v1/items/east1").json() == {"item_id": "east1"}
    assert recommended(other)[:2] == ["east2", "north2"]
    assert other.get("/v1/items/east1/similar").json()["error"]["code"] == "unknown_item"
    put(one, item("east1", published_at="2999-01-01T00:00:00Z"))
    assert recommended(other)[:2] == ["east2", "north2"]


def test_a_new_item_is_found_in_every_worker_once_its_text_is_encoded(worker) -> None:
    (one, reads), (other, also_reads) = worker(), worker()
    put(one, item("north/3"))
    assert "north/3" not in recommended(other, query="north")
    for engine in (reads, also_reads):
        engine.live_model.encode_pending_items()
    for client in (one, other):
        assert "north/3" in recommended(client, query="north", k=3)
        assert recommended(client, query="film north/3", k=1) == ["north/3"]
        assert "north/3" in ids(client.get("/v1/items/north1/similar", params={"k": 2}))
        assert "north1" in ids(client.get("/v1/items/north/3/similar"))
    one.delete("/v1/items/north/3")
    assert "north/3" not in recommended(other, query="north")


def test_a_running_worker_encodes_new_items(worker) -> None:
    (one, _), (other, _) = worker(running=True), worker(running=True)
    put(one, item("north3"))
    until(lambda: "north3" in recommended(one, query="north"))
    until(lambda: "north3" in recommended(other, query="north"))


def test_concurrent_changes_are_in_effect_at_the_next_request_of_another_worker(worker) -> None:
    """Each writer toggles its own film while the others do the same and texts are encoded."""
    (one, _), (other, engine) = worker(), worker()

    def toggle(name: str) -> list[bool]:
        seen = []
        for available in [False, True] * 5:
            put(one, item(name, available=available), item(f"{name}4", title=f"{available} north"))
            seen.append(name in recommended(other))
            engine.live_model.encode_pending_items()
        return seen

    with ThreadPoolExecutor(len(tiny_model.IDS)) as pool:
        assert list(pool.map(toggle, tiny_model.IDS)) == [[False, True] * 5] * len(tiny_model.IDS)
    assert len(recommended(other, query="north")) == 2 * len(tiny_model.IDS)


def test_another_model_serves_the_same_items(worker, tmp_path) -> None:
    client, engine = worker()
    put(client, item("north3"), item("east1", available=False))
    write_champion(tmp_path / "champion.json", "v2", [])
    engine.refresh()  # the new model encodes all items before it serves
    answer = client.post("/v1/recommend", json={"query": "north"})
    assert answer.json()["model_version"] == "v2"
    assert "north3" in ids(answer)
    assert "east1" not in ids(answer)


def test_accepted_items_are_on_disk_for_a_new_worker(worker) -> None:
    put(worker()[0], item("north3", attributes={"price": 2.5, "new": True}))
    late, engine = worker()
    engine.live_model.encode_pending_items()
    assert recommended(late, query="film north3", k=1) == ["north3"]


def test_similar_and_popular_omit_seen_excluded_and_filtered_items(
    worker,
) -> None:
    client, _ = worker()
    seen = {"user_id": "eve"}  # who has seen east1
    assert ids(client.get("/v1/items/east2/similar", params={"k": 1})) == ["east1"]
    assert "east1" not in ids(client.get("/v1/items/east2/similar", params=seen))
    narrowed = client.get(
        "/v1/items/east2/similar", params={"category": "north", "exclude": "north1"}
    )
    assert ids(narrowed) == ["north2"]
    both = client.get("/v1/popular", params={**seen, "category": ["east", "both"], "k": 5}).json()
    for order in ("popular", "trending"):
        assert [each["item_id"] for each in both[order]] == ["east2", "both"]
        assert [each["position"] for each in both[order]] == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"title": "  "}, "title"),
        ({"title": None}, "title"),
        ({"item_id": " a"}, "item_id"),
        ({"item_id": "a\u0000"}, "item_id"),
        ({"prize": 1}, "prize"),
        ({"available": "perhaps"}, "available"),
        ({"categories": "north"}, "categories"),
        ({"attributes": {"deep": {"er": 1}}}, "attributes"),
        ({"expires_at": "2024-01-01T00:00:00"}, "expires_at"),
        ({"published_at": "0001-01-01T00:00:00+14:00"}, "published_at"),
        ({"published_at": "9999-12-31T23:59:59-14:00"}, "published_at"),
        ({"text": "x" * 50_001}, "text"),
    ],
)
def test_an_invalid_item_refuses_its_batch(worker, wrong, where) -> None:
    client, _ = worker()
    answer = put(client, item("north3"), {**item("north4"), **wrong})
    assert answer.status_code == 422
    assert f"items.1.{where}" in " ".join(answer.json()["error"]["details"])
    assert recommended(client) == recommended(worker()[0])


def test_batches_and_lists_have_limits(worker) -> None:
    client, _ = worker()
    assert put(client).status_code == 422
    assert put(client, *[item(str(n)) for n in range(1_001)]).status_code == 422
    assert put(client, *[item("east1") for _ in range(1_000)]).json() == {"accepted": 1}
    for path in ("/v1/popular", "/v1/items/east1/similar"):
        for params in ({"k": 0}, {"k": 101}, {"kk": 1}, {"category": ""}):
            assert client.get(path, params=params).status_code == 422


def test_without_the_store_the_last_model_and_catalogue_stay(worker, monkeypatch, tmp_path) -> None:
    client, engine = worker()
    put(client, item("east1", available=False))
    served = recommended(client)

    def fail(_store, _after):
        raise OperationalError("select", {}, Exception("disk I/O error"))

    with monkeypatch.context() as broken:
        broken.setattr(ItemStore, "changes", fail)
        assert recommended(client) == served
        write_champion(tmp_path / "champion.json", "v2", [])
        with pytest.raises(OperationalError):
            engine.refresh()
        assert engine.version == "v1"
    engine.refresh()  # the failure of the store did not mark v2 as refused
    assert engine.version == "v2"
    assert recommended(client) == served


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*ITEMS.names(), "x"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return the client of one worker for all examples."""
    pointer = tmp_path_factory.mktemp("hostile") / "champion.json"
    write_champion(pointer, "v1", [])
    store = EventStore.at(pointer.with_name("events.db"))
    engine = Engine(faults.Models(recommender()), pointer, store, poll_seconds=60)
    engine.refresh()
    yield TestClient(create_app(engine)), engine
    store.close()


@pytest.mark.slow
@settings(deadline=None)
@given(
    body=JSON,
    odd=st.dictionaries(FIELDS, JSON, max_size=3),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_no_item_causes_a_server_error(hostile, body, odd, name) -> None:
    client, engine = hostile
    headers = {"content-type": "application/json"}
    for sent in (body, {"items": body}, {"items": [item("new", title=name) | odd]}):
        answer = client.post("/v1/items", content=json.dumps(sent), headers=headers)
        assert answer.status_code in {200, 400, 422}
    path = f"/v1/items/{quote(name, safe='')}"
    assert client.delete(path).status_code in {200, 404, 405, 422}
    assert client.get(f"{path}/similar").status_code in {200, 404, 422}
    assert client.get("/v1/popular", params={"category": name}).status_code in {200, 422}
    engine.live_model.encode_pending_items()
    recommended(client, query=name)
