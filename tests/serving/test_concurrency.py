"""The real service with two workers and more concurrent callers than threads."""

import asyncio
import uuid

import httpx
import pytest

from benchmarks.robustness.servers import NO_DEADLINE, Replica, packaged
from tests.support import tiny_model

pytestmark = pytest.mark.system
USERS = 1_000


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    replica = Replica(packaged(tmp_path_factory.mktemp("service")), extra=NO_DEADLINE)
    replica.start()
    yield replica.address
    replica.stop()


async def meet(client: httpx.AsyncClient, number: int) -> tuple[set[str], str]:
    """Send an event of a new user, and return the next list and the film of the event."""
    user, film = uuid.uuid4().hex, tiny_model.IDS[number % len(tiny_model.IDS)]
    event = {"event_id": f"{user}-1", "user_id": user, "item_id": film, "event": "click"}
    event |= {"timestamp": "2024-01-01T00:00:00Z"}
    taken = await client.post("/v1/events", json={"events": [event]})
    assert taken.status_code == 200, taken.text
    answer = await client.post("/v1/recommend", json={"user_id": user})
    assert answer.status_code == 200, answer.text
    return {item["item_id"] for item in answer.json()["items"]}, film


async def meet_all(address: str) -> list[tuple[set[str], str]]:
    # No connection is kept: on a busy machine the server would close one just before its next use.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as client:
        return await asyncio.gather(*(meet(client, number) for number in range(USERS)))


def test_each_of_1000_concurrent_users_sees_the_effect_of_their_event(service) -> None:
    lists = asyncio.run(meet_all(service))
    assert len(lists) == USERS
    assert all(shown == set(tiny_model.IDS) - {film} for shown, film in lists)
