"""Tests of the typed client: the real service, and services that fail for a while."""

from datetime import UTC, datetime

import httpx
import pytest

from benchmarks.robustness.servers import NO_DEADLINE, Replica, packaged
from recloop.client import Client, ServiceError
from recloop.columns import Event
from recloop.schemas.catalogue import ItemIn, Listing
from recloop.schemas.filters import Filters
from recloop.schemas.recommend import EventIn, RecommendRequest, SessionEvent

pytestmark = pytest.mark.system
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def click(event_id: str, user: str, item: str) -> EventIn:
    return EventIn(event_id=event_id, user_id=user, item_id=item, timestamp=NOW, event=Event.CLICK)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    replica = Replica(packaged(tmp_path_factory.mktemp("service")), workers=1, extra=NO_DEADLINE)
    replica.start()
    with Client(replica.address) as made:
        yield made
    replica.stop()


def test_recorded_items_are_not_recommended_again(client) -> None:
    assert client.record([click("e1", "ann", "north1")]).accepted == 1
    assert client.record([click("e1", "ann", "north1")]).duplicates == 1
    found = client.recommend(RecommendRequest(user_id="ann", k=10))
    assert "north1" not in {item.item_id for item in found.items}
    assert (found.model_version, found.degraded) == ("v1", [])


def test_sessions_and_filters_are_sent(client) -> None:
    request = RecommendRequest(
        history=[SessionEvent(item_id="north1")], filters=Filters(categories=["north"]), k=5
    )
    assert [item.item_id for item in client.recommend(request).items] == ["north2"]


def test_items_of_any_name_come_and_go(client) -> None:
    name = "a/b c?#%"
    assert client.upsert([ItemIn(item_id=name, title="A film")]).accepted == 1
    assert client.delete(name).item_id == name


def test_lists_without_a_user(client) -> None:
    assert len(client.popular(Listing(k=2, category=["north"])).popular) == 2
    near = client.similar("north1", Listing(k=3, exclude=["both"])).items
    assert not {"north1", "both"} & {item.item_id for item in near}


def test_a_user_is_exported_and_erased(client) -> None:
    client.record([click("e2", "ann/2", "north1")])
    assert [event.event_id for event in client.export("ann/2").events] == ["e2"]
    assert client.erase("ann/2").removed.events == 1
    assert client.export("ann/2").events == []


def test_an_error_names_the_problem(client) -> None:
    with pytest.raises(ServiceError, match="unknown_item") as caught:
        client.similar("nowhere")
    assert (caught.value.status, caught.value.problem.code) == (404, "unknown_item")
    assert caught.value.problem.request_id


def failing(*answers: httpx.Response | Exception):
    """Return a client whose service gives these answers in turn, and the list of its pauses."""
    left = list(answers)
    pauses: list[float] = []

    def answer(_request: httpx.Request) -> httpx.Response:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    client = Client("http://x", transport=httpx.MockTransport(answer), sleep=pauses.append)
    return client, pauses


DONE = httpx.Response(200, json={"accepted": 1, "duplicates": 0})


def test_temporary_failures_are_retried() -> None:
    busy = httpx.Response(429, headers={"retry-after": "3"})
    client, pauses = failing(httpx.ConnectError("refused"), busy, httpx.Response(503), DONE)
    assert client.record([click("e1", "ann", "north1")]).accepted == 1
    assert pauses == [0.1, 3.0, 2.0]


def test_lasting_failures_are_errors() -> None:
    client, pauses = failing(*[httpx.Response(503, text="away")] * 4)
    with pytest.raises(ServiceError) as caught:
        client.record([click("e1", "ann", "north1")])
    assert (caught.value.status, len(pauses)) == (503, 3)


def test_invalid_requests_are_not_retried() -> None:
    client, pauses = failing(httpx.Response(422, json={"error": {"code": "c", "message": "m"}}))
    with pytest.raises(ServiceError, match=r"c \(422\): m"):
        client.record([click("e1", "ann", "north1")])
    assert pauses == []
