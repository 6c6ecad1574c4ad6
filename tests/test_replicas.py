"""Two replicas on one PostgreSQL behind nginx, with the configuration of deploy/."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
import tiny

from benchmarks.robustness import servers
from benchmarks.robustness.servers import Postgres, Replica, packaged
from recloop.store.events import EventStore

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        bool(servers.missing("initdb", "nginx")),
        reason="PostgreSQL or nginx is not installed (see CONTRIBUTING.md)",
    ),
]


@dataclass
class Cluster:
    """What runs, and the one address that callers know."""

    database: Postgres
    replicas: list[Replica]
    address: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    home = packaged(folder)
    with servers.postgres() as database:
        names = ("one", "two")
        replicas = [Replica(home, name, database.environment, workers=1) for name in names]
        try:
            with ThreadPoolExecutor(2) as pool:  # both find an empty database at once
                list(pool.map(Replica.start, replicas))
            with servers.nginx(folder / "nginx", replicas) as address:
                yield Cluster(database, replicas, address)
        finally:
            for replica in replicas:
                replica.stop()


def click(user: str, item: str) -> dict[str, object]:
    event = {"event_id": uuid.uuid4().hex, "user_id": user, "item_id": item, "event": "click"}
    return {"events": [event | {"timestamp": "2024-01-01T00:00:00Z"}]}


def test_what_one_replica_took_in_the_other_knows(cluster) -> None:
    for number, (here, there) in enumerate(itertools.permutations(cluster.replicas)):
        user = f"{number}-of-two"
        taken = httpx.post(f"{here.address}/v1/events", json=click(user, "east1"))
        assert taken.json() == {"accepted": 1, "duplicates": 0}
        answer = httpx.post(f"{there.address}/v1/recommend", json={"user_id": user}).json()
        assert {item["item_id"] for item in answer["items"]} == set(tiny.IDS) - {"east1"}
        httpx.delete(f"{here.address}/v1/items/north{number + 1}").raise_for_status()
        answer = httpx.post(f"{there.address}/v1/recommend", json={"user_id": user}).json()
        assert f"north{number + 1}" not in {item["item_id"] for item in answer["items"]}
        back = {"item_id": f"north{number + 1}", "title": "Film", "categories": ["north"]}
        httpx.post(f"{here.address}/v1/items", json={"items": [back]}).raise_for_status()


def test_nginx_passes_the_api_on_and_nothing_else(cluster) -> None:
    assert httpx.post(f"{cluster.address}/v1/recommend", json={}).is_success
    for path in ("/", "/docs", "/metrics", "/readyz", "/openapi.json"):
        assert httpx.get(f"{cluster.address}{path}").status_code == 404, path


def test_a_rolling_update_under_load_fails_no_request(cluster) -> None:
    """Each replica in turn is asked to end (SIGTERM) and started anew, while eight callers go on."""
    stop, failures, acknowledged, lost = threading.Event(), [], [], []

    def call(caller: int) -> None:
        with httpx.Client(base_url=cluster.address, timeout=60) as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                user, film = f"rolling-{caller}-{number}", tiny.IDS[number % 5]
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
                before = len(acknowledged)
                until(lambda before=before: len(acknowledged) > before + 100)
                replica.drain()
                replica.start()
            before = len(acknowledged)
            until(lambda: len(acknowledged) > before + 100)
        finally:
            stop.set()
    assert [caller.exception() for caller in callers] == [None] * 8
    assert (failures, lost) == ([], [])
    store = EventStore(cluster.database.url)
    assert set(acknowledged) <= set(store.events()["event_id"])
    store.close()


# A connection that is refused or reset leaves its socket to the garbage collector, in httpx.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_taken_in_is_answered_before_a_replica_ends(cluster) -> None:
    """SIGTERM comes while 100 callers wait; who gets no answer was not taken in either."""
    replica, answered, refused = cluster.replicas[0], [], []

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


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
