"""Two replicas on one PostgreSQL behind nginx, with the configuration of deploy/."""

import itertools
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from benchmarks.robustness import servers
from benchmarks.robustness.servers import NO_DEADLINE, Postgres, Replica, packaged
from recloop.store.event_store import EventStore
from tests.support import tiny_model
from tests.support.waiting import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        bool(servers.missing("initdb", "nginx")),
        reason="PostgreSQL or nginx is missing: apt-get install postgresql nginx-light",
    ),
]


@dataclass
class Cluster:
    """A database, its replicas, and the address of the load balancer."""

    database: Postgres
    replicas: list[Replica]
    address: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    home = packaged(folder)
    with servers.postgres() as database:
        names = ("one", "two")
        settings = NO_DEADLINE | database.environment
        replicas = [Replica(home, name, settings, workers=1) for name in names]
        try:
            with ThreadPoolExecutor(2) as pool:  # both create the tables at the same time
                list(pool.map(Replica.start, replicas))
            with servers.nginx(folder / "nginx", replicas) as address:
                yield Cluster(database, replicas, address)
        finally:
            for replica in replicas:
                replica.stop()


def more_events(acknowledged: list[str]) -> Callable[[], bool]:
    """Return a condition: more than 100 events have been acknowledged since this call."""
    before = len(acknowledged)
    return lambda: len(acknowledged) > before + 100


def click(user: str, item: str) -> dict[str, Any]:
    event = {"event_id": uuid.uuid4().hex, "user_id": user, "item_id": item, "event": "click"}
    return {"events": [event | {"timestamp": "2024-01-01T00:00:00Z"}]}


def test_an_event_sent_to_one_replica_is_used_by_the_other(cluster) -> None:
    for number, (here, there) in enumerate(itertools.permutations(cluster.replicas)):
        user = f"{number}-of-two"
        taken = httpx.post(f"{here.address}/v1/events", json=click(user, "east1"))
        assert taken.json() == {"accepted": 1, "duplicates": 0}
        answer = httpx.post(f"{there.address}/v1/recommend", json={"user_id": user}).json()
        assert {item["item_id"] for item in answer["items"]} == set(tiny_model.IDS) - {"east1"}
        httpx.delete(f"{here.address}/v1/items/north{number + 1}").raise_for_status()
        answer = httpx.post(f"{there.address}/v1/recommend", json={"user_id": user}).json()
        assert f"north{number + 1}" not in {item["item_id"] for item in answer["items"]}
        back = {"item_id": f"north{number + 1}", "title": "Film", "categories": ["north"]}
        httpx.post(f"{here.address}/v1/items", json={"items": [back]}).raise_for_status()


def test_nginx_forwards_only_the_api(cluster) -> None:
    assert httpx.post(f"{cluster.address}/v1/recommend", json={}).is_success
    for path in ("/", "/docs", "/metrics", "/readyz", "/openapi.json"):
        assert httpx.get(f"{cluster.address}{path}").status_code == 404, path


def test_a_rolling_update_under_load_fails_no_request(cluster) -> None:
    """Stop (SIGTERM) and restart each replica, one by one, while eight callers send requests."""
    stop = threading.Event()
    failures: list[str] = []
    acknowledged: list[str] = []
    lost: list[str] = []

    def call(caller: int) -> None:
        with httpx.Client(base_url=cluster.address, timeout=60) as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                user, film = f"rolling-{caller}-{number}", tiny_model.IDS[number % 5]
                body = click(user, film)
                taken = client.post("/v1/events", json=body)
                answer = client.post("/v1/recommend", json={"user_id": user})
                failures.extend(a.text for a in (taken, answer) if not a.is_success)
                if taken.is_success:
                    acknowledged.append(body["events"][0]["event_id"])
                if answer.is_success and film in answer.text:
                    lost.append(user)

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call, caller) for caller in range(8)]
        try:
            for replica in cluster.replicas:
                until(more_events(acknowledged))
                replica.drain()
                replica.start()
            until(more_events(acknowledged))
        finally:
            stop.set()
    assert [caller.exception() for caller in callers] == [None] * 8
    assert (failures, lost) == ([], [])
    store = EventStore(cluster.database.url)
    assert set(acknowledged) <= set(store.events()["event_id"])
    store.close()


def test_a_slow_response_does_not_make_the_only_replica_unreachable(cluster) -> None:
    """One replica is stopped and the other pauses until a request has failed."""
    ended, paused = cluster.replicas
    ended.drain()
    try:
        processes = paused.processes()
        for process in processes:
            process.suspend()
        try:
            timed_out = httpx.post(f"{cluster.address}/v1/recommend", json={}, timeout=60)
        finally:
            for process in processes:
                process.resume()
        following = [httpx.post(f"{cluster.address}/v1/recommend", json={}) for _ in range(5)]
    finally:
        ended.start()
    assert timed_out.status_code in {502, 504}
    assert [answer.status_code for answer in following] == [200] * 5


# A connection that is refused or reset leaves its socket to the garbage collector, in httpx.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_replica_answers_accepted_requests_before_it_ends(cluster) -> None:
    """SIGTERM arrives while 100 callers wait; a request without a response was not stored."""
    replica = cluster.replicas[0]
    answered: list[str] = []
    refused: list[str] = []

    def send(number: int) -> None:
        body = click(f"drain-{number}", "both")
        event_id = body["events"][0]["event_id"]
        try:
            answer = httpx.post(f"{replica.address}/v1/events", json=body, timeout=60)
        except httpx.TransportError:
            refused.append(event_id)
        else:
            assert answer.json() == {"accepted": 1, "duplicates": 0}
            answered.append(event_id)

    with ThreadPoolExecutor(100) as pool:
        sent = [pool.submit(send, number) for number in range(100)]
        until(lambda: len(answered) >= 10)
        replica.drain()
    replica.start()
    assert [each.exception() for each in sent] == [None] * 100
    assert len(answered) + len(refused) == 100
    store = EventStore(cluster.database.url)
    stored = set(store.events()["event_id"])
    store.close()
    assert set(answered) <= stored
    assert not set(refused) & stored
