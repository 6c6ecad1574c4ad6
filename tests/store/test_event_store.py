"""Event store: no event is lost or stored twice, and the order is kept."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from recloop import columns as c
from recloop.columns import Event
from recloop.data.frame_schemas import INTERACTIONS
from recloop.store.event_store import EventStore, ServedList, StoredEvent

NOW = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def event(name: str, item: str = "i", minutes: int = 0, kind: Event = Event.CLICK) -> StoredEvent:
    return StoredEvent(name, "u", item, NOW + timedelta(minutes=minutes), kind)


def at(minutes: int) -> float:
    return (NOW + timedelta(minutes=minutes)).timestamp()


@pytest.fixture
def store(tmp_path):
    store = EventStore.at(tmp_path / "events.db")
    yield store
    store.close()


def test_an_event_id_is_stored_once(store) -> None:
    assert store.append([event("a"), event("b")]) == 2
    assert store.append([event("b", item="other"), event("c")]) == 1
    assert store.events()[c.ITEM].to_list() == ["i", "i", "i"]  # the first version is kept


def test_an_event_id_twice_in_a_batch_is_stored_once(store) -> None:
    assert store.append([event("a"), event("a")]) == 1
    assert store.append([]) == 0


def test_batches_of_any_size_use_six_statements(store) -> None:
    statements = set()
    sa.event.listen(store.engine, "before_cursor_execute", lambda *args: statements.add(args[2]))
    for size in range(1, 64):
        assert store.append(event(f"{size}-{number}") for number in range(size)) == size
    assert len(statements) == 6  # of 1, 2, 4, 8, 16 and 32 rows
    numbers = store.events()["event_id"].to_list()
    assert numbers[-63:] == [f"63-{number}" for number in range(63)]


def test_recent_returns_the_newest_events_in_order(store) -> None:
    store.append([event("a", "late", 9), event("b", "early", 1), event("c", "mid", 5)])
    mid, late = (("mid", "click", at(5)), ("late", "click", at(9)))
    assert store.recent("u", after=0, limit=2) == [mid, late]
    assert store.recent("u", after=2, limit=9) == [mid]
    store.append([event("d", "shown", 11, Event.IMPRESSION)])
    assert store.recent("u", after=0, limit=1) == [late]
    assert store.recent("nobody", after=0, limit=9) == []


def test_events_are_read_with_the_types_of_the_schema(store) -> None:
    store.append([StoredEvent("a", "u", "i", NOW, Event.RATING, 4.5, "q", "s", "r")])
    row = store.events().row(0, named=True)
    assert row[c.TIME] == NOW
    assert (row[c.VALUE], row[c.QUERY], row[c.SESSION], row[c.REQUEST]) == (4.5, "q", "s", "r")
    assert store.events().select(INTERACTIONS.names()).schema == INTERACTIONS
    assert store.events()["seq"].to_list() == [1]


def test_served_lists_are_stored_once(store) -> None:
    lists = [ServedList("r", None, NOW, "v1", "champion", ["a", "b"], [2.0, 1.0], [1.0, 1.0])]
    assert store.append_served(lists) == 1
    assert store.append_served(lists) == 0
    assert store.served()["items"].to_list() == [["a", "b"]]


def test_the_database_uses_a_write_ahead_log(store, tmp_path) -> None:
    store.append([event("a")])
    with EventStore.at(tmp_path / "events.db").engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


@pytest.mark.slow
@given(batches=st.lists(st.lists(st.integers(0, 20), max_size=8), max_size=6))
def test_any_order_of_batches_stores_each_id_once(batches, tmp_path_factory) -> None:
    store = EventStore.at(tmp_path_factory.mktemp("store") / "events.db")
    added = sum(store.append([event(str(n)) for n in batch]) for batch in batches)
    distinct = {str(n) for batch in batches for n in batch}
    assert added == len(distinct)
    assert set(store.events()["event_id"]) == distinct
    store.close()
