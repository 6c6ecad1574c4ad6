"""The real service with two workers, under more callers than it has threads."""

import asyncio
import uuid

import httpx
import pytest
import tiny

from benchmarks.robustness.servers import Replica, packaged

pytestmark = pytest.mark.system
USERS = 1_000


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    replica = Replica(packaged(tmp_path_factory.mktemp("service")))
    replica.start()
    yield replica.address
    replica.stop()


async def meet(client: httpx.AsyncClient, number: int) -> tuple[set[str], str]:
    """A user who is new takes one of the five films; what is recommended next, and the film."""
    user, film = uuid.uuid4().hex, tiny.IDS[number % len(tiny.IDS)]
    event = {"event_id": f"{user}-1", "user_id": user, "item_id": film, "event": "click"}
    event |= {"timestamp": "2024-01-01T00:00:00Z"}
    taken = await client.post("/v1/events", json={"events": [event]})
    assert taken.status_code == 200, taken.text
    answer = await client.post("/v1/recommend", json={"user_id": user})
    assert answer.status_code == 200, answer.text
    return {item["item_id"] for item in answer.json()["items"]}, film


async def meet_all(address: str) -> list[tuple[set[str], str]]:
    # No connection is kept: on a busy machine the server would close one that is about to be used again.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as client:
        return await asyncio.gather(*(meet(client, number) for number in range(USERS)))


def test_every_one_of_1000_users_at_once_sees_what_they_just_did(service) -> None:
    lists = asyncio.run(meet_all(service))
    assert len(lists) == USERS
    assert all(shown == set(tiny.IDS) - {film} for shown, film in lists)
