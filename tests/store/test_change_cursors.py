"""Change cursors, which every request reads first."""

from datetime import UTC, datetime

import pytest

from recloop.data.live_items import LiveItem
from recloop.store.change_cursors import ChangeCursorReader
from recloop.store.event_store import EventStore
from recloop.store.item_store import ItemStore

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    store = EventStore.at(tmp_path / "events.db")
    yield store
    store.close()


def test_the_cursors_equal_the_numbers_of_the_stores(store) -> None:
    items, desk = ItemStore(store.engine), ChangeCursorReader(store.engine)
    assert desk.read("eve") == desk.read(None) == (0, 0)
    items.upsert([LiveItem("a", "A", available=True), LiveItem("b", "B", available=True)])
    items.delete("a")
    store.personal.erase("eve", NOW)
    assert desk.read("eve") == (items.changes(0)[1], store.personal.last_erasure("eve"))
    assert min(desk.read("eve")) > 0
    assert desk.read("adam") == desk.read(None) == (desk.read("eve").last_item_change, 0)
