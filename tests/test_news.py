"""What a request asks the store first."""

from datetime import UTC, datetime

import pytest

from recloop.data.live import LiveItem
from recloop.store.events import EventStore
from recloop.store.items import ItemStore
from recloop.store.news import NewsDesk

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    store = EventStore.at(tmp_path / "events.db")
    yield store
    store.close()


def test_the_numbers_are_those_by_which_items_and_erasures_are_known(store) -> None:
    items, desk = ItemStore(store.engine), NewsDesk(store.engine)
    assert desk.of("eve") == desk.of(None) == (0, 0)
    items.upsert([LiveItem("a", "A", available=True), LiveItem("b", "B", available=True)])
    items.delete("a")
    store.personal.erase("eve", NOW)
    assert desk.of("eve") == (items.changes(0)[1], store.personal.erasure_of("eve"))
    assert min(desk.of("eve")) > 0
    assert desk.of("adam") == desk.of(None) == (desk.of("eve").changed, 0)
