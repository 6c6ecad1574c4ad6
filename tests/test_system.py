"""The whole loop in a checkout of its own: real Prefect server, DVC, Bento, HTTP, kill -9."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest
from system import Checkout

from flows.processes import Children, answers, free_port
from recloop.config import Home
from recloop.registry.store import Registry
from recloop.store.events import EventStore

pytestmark = pytest.mark.system
PYTHON = sys.executable


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout.make(tmp_path_factory.mktemp("system"))


@pytest.fixture(scope="module")
def first_run(checkout: Checkout) -> dict:
    checkout.run(PYTHON, "-m", "flows.run")
    return json.loads((checkout.folder / "reports" / "run.json").read_text(encoding="utf-8"))


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def test_run_reports_everything_that_it_did(first_run: dict) -> None:
    assert first_run["status"] == "completed"
    assert first_run["data_version"].endswith(".dir")
    assert first_run["validation"]["passed"]
    models = first_run["metrics"]["models"]
    assert set(models) == {"recloop", "popularity", "item-knn", "ease", "ids-only"}
    assert all(
        m["ndcg@10"]["low"] <= m["ndcg@10"]["value"] <= m["ndcg@10"]["high"]
        for m in models.values()
    )
    assert models["recloop"]["ndcg@10"]["value"] > models["popularity"]["ndcg@10"]["value"]
    assert first_run["models"]["first"]["version"] == "v1"
    assert first_run["models"]["second"]["version"] == "v2"
    assert first_run["continues"] == {"first": None, "second": "v1"}
    assert first_run["first_decision"]["promoted"]
    assert first_run["bento"].startswith("recloop:")
    assert first_run["replay"]["events"] == 480
    assert first_run["replay"]["errors"] == 0
    assert first_run["snapshot"]["feedback"] == 480  # the second snapshot holds what came back
    assert set(first_run["drift"]["column_psi"]) >= {"category", "popularity", "activity"}
    assert first_run["retrain"]["wanted"]
    assert first_run["retrain"]["reasons"]
    assert first_run["decision"]["reasons"]
    winner = "v2" if first_run["decision"]["promoted"] else "v1"
    assert first_run["served"] == {"before": "v1", "after": winner}
    assert first_run["seconds"]["total"] > 0


def test_git_and_dvc_are_clean_after_a_run(checkout: Checkout, first_run: dict) -> None:
    assert checkout.run("git", "status", "--porcelain") == ""
    assert "up to date" in checkout.run("dvc", "status")
    assert "recloop" in checkout.run("dvc", "metrics", "show", "reports/metrics.json")
    assert "v1" in checkout.run("git", "tag")
    assert "valid_ndcg" in checkout.run(
        "dvc", "metrics", "diff", "recloop/v1", "recloop/v2", "--targets", "reports/training.json"
    )
    checkout.run("dvc", "plots", "show", "--out", str(checkout.home / "plots"))


def test_a_reports_folder_holds_what_people_read(checkout: Checkout, first_run: dict) -> None:
    reports = checkout.home / "reports"
    assert len(list(reports.glob("retrain-*/data-docs/index.html"))) == 2
    assert len(list(reports.glob("monitor-*/interactions.html"))) == 1


def test_a_challenger_continues_from_the_champion(checkout: Checkout, first_run: dict) -> None:
    report = "reports/training.json"
    versions = ("recloop/v1", "recloop/v2", "--targets", report, "--json", "--all")
    found = json.loads(checkout.run("dvc", "metrics", "diff", *versions))[report]
    at_start, best = found["valid_ndcg@10_at_start"]["new"], found["valid_ndcg@10"]
    assert best["new"] >= at_start > 0.5 * best["old"]
    assert found["epochs"]["new"] <= 3
    # What the champion had learned is asked of both; the challenger must not have lost much of it.
    assert found["forgetting.requests"]["new"] > 50
    assert found["forgetting.after"]["new"] >= 0.9 * found["forgetting.before"]["new"] > 0
    manifests = [Registry(Home(checkout.home)).manifest(version) for version in ("v1", "v2")]
    assert [manifest.lineage.parent for manifest in manifests] == [None, "v1"]


def test_every_model_comes_back_with_git_and_dvc(
    checkout: Checkout, first_run: dict, tmp_path: Path
) -> None:
    home = Home(checkout.home)
    again = tmp_path / "again"
    checkout.run(
        "git", "clone", "--quiet", "--branch", "recloop/v1", str(checkout.folder), str(again)
    )
    pull = ["dvc", "remote", "add", "--local", "--default", "home", str(home.remote)]
    for command in (pull, ["dvc", "pull", "--quiet", "artifacts/model"]):
        subprocess.run(
            command, cwd=again, env=checkout.environment, check=True, capture_output=True
        )
    packaged = Registry(home).path("v1") / "model"
    for file in packaged.iterdir():
        assert (again / "artifacts" / "model" / file.name).read_bytes() == file.read_bytes()


def test_a_second_run_skips_what_is_fresh(checkout: Checkout, first_run: dict) -> None:
    checkout.run(PYTHON, "-m", "flows.run")
    second = json.loads((checkout.folder / "reports" / "run.json").read_text(encoding="utf-8"))
    assert second["replay"] == {"requests": 0, "events": 0, "skipped": 480, "hits": 0, "errors": 0}
    assert second["models"]["first"]["fresh"] is False
    assert second["models"]["second"] is None
    assert second["data_version"] == first_run["data_version"]
    assert second["metrics"] == first_run["metrics"]
    assert checkout.run("git", "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def up(checkout: Checkout, first_run: dict) -> Iterator[dict[str, str]]:
    """`make up`, with its addresses; afterwards Ctrl-C, and no child may be left."""
    log = checkout.home / "up.log"
    process = checkout.start(PYTHON, "-m", "flows.up", output=log)
    try:
        until(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None, 180)
        assert process.poll() is None, log.read_text()
        yield json.loads((checkout.home / "system-addresses.json").read_text())
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
        _, alive = psutil.wait_procs(children, timeout=5)
        assert alive == []
        assert not (checkout.home / "system-addresses.json").exists()


def test_a_second_system_in_the_same_home_is_refused(checkout: Checkout, up: dict) -> None:
    assert "running" in checkout.run(PYTHON, "-m", "flows.run", code=1)


def test_the_parts_answer(up: dict) -> None:
    assert answers(f"{up['prefect']}/api/health")
    assert "recloop" in httpx.get(f"{up['service']}/docs").text
    assert httpx.get(f"{up['service']}/static_content/swagger-ui-bundle.js").is_success
    assert answers(up["reports"])
    httpx.post(f"{up['service']}/v1/recommend", json={}).raise_for_status()
    assert "recloop_recommendations_total" in httpx.get(f"{up['service']}/metrics").text
    deployment = httpx.get(f"{up['prefect']}/api/deployments/name/retrain/retrain").json()
    assert deployment["schedules"][0]["schedule"]["cron"]
    query = {"flow_runs": {"name": {"like_": ""}}}
    runs = httpx.post(f"{up['prefect']}/api/flow_runs/filter", json=query).json()
    assert any((run["created_by"] or {}).get("type") == "AUTOMATION" for run in runs)


def test_the_gate_stops_a_bad_row_and_the_champion_serves_on(checkout: Checkout, up: dict) -> None:
    before = httpx.post(f"{up['service']}/v1/recommend", json={"user_id": "u1"}).json()
    path = checkout.source / "interactions.csv"
    good = path.read_text(encoding="utf-8")
    rows = good.splitlines()
    user, item, when, event, _ = rows[1000].split(",")
    rows[1000] = f"{user},{item},{when},{event},99"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    try:
        said = " ".join(checkout.run(PYTHON, "-m", "flows.once", "retrain", code=1).split())
    finally:
        path.write_text(good, encoding="utf-8")
    assert "expect_column_values_to_be_between on value broken by 1 rows" in said
    assert f"'user_id': '{user}'" in said
    assert Registry(Home(checkout.home)).versions() == ["v1", "v2"]
    after = httpx.post(f"{up['service']}/v1/recommend", json={"user_id": "u1"}).json()
    assert after["model_version"] == before["model_version"]
    assert after["items"] == before["items"]


def test_promoting_under_load_fails_no_request(checkout: Checkout, up: dict) -> None:
    stop, versions, failures = threading.Event(), [], []

    def load(user: int) -> None:
        with httpx.Client(base_url=up["service"], timeout=30) as client:
            while not stop.is_set():
                answer = client.post("/v1/recommend", json={"user_id": f"u{user}", "k": 5})
                if answer.is_success:
                    versions.append(answer.json()["model_version"])
                else:
                    failures.append(answer.text)

    serving = httpx.post(f"{up['service']}/v1/recommend", json={}).json()["model_version"]
    other = {"v1": "v2", "v2": "v1"}[serving]
    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(load, user) for user in range(4)]
        until(lambda: len(versions) > 50)
        checkout.run("recloop", "promote", other)
        until(lambda: versions[-20:] == [other] * 20)
        stop.set()
    assert failures == []
    assert [caller.exception() for caller in callers] == [None] * 4
    assert set(versions) == {"v1", "v2"}


def test_killed_while_taking_in_10000_events_nothing_is_lost_or_twice(
    checkout: Checkout, first_run: dict
) -> None:
    home = Home(checkout.home)
    children = Children(home.root / "kill.json", home.logs)
    port = free_port(3100, "RECLOOP_NO_SUCH_SETTING")
    address = f"http://127.0.0.1:{port}"
    command = ["bentoml", "serve", "recloop:latest", "--host", "127.0.0.1", "--port", str(port)]

    def serve() -> int:
        children.start("killed", command, checkout.environment, cwd=home.root)
        children.wait_until("killed", lambda: answers(f"{address}/readyz"), 60)
        return children.running["killed"].pid

    batches = [[_event() for _ in range(100)] for _ in range(100)]
    acknowledged: set[str] = set()
    pid = serve()
    with httpx.Client(base_url=address, timeout=10) as client:
        for number, batch in enumerate(batches):
            if number == 50:
                # In the middle of a request, not between two.
                threading.Timer(0.003, _kill_tree, [pid]).start()
            try:
                client.post("/v1/events", json={"events": batch}).raise_for_status()
            except httpx.HTTPError:
                break
            acknowledged |= {event["event_id"] for event in batch}
    until(lambda: not psutil.pid_exists(pid) or children.running["killed"].poll() is not None)
    assert 0 < len(acknowledged) < 10_000
    assert acknowledged <= _stored(home)

    serve()
    with httpx.Client(base_url=address, timeout=10) as client:
        for batch in batches:  # a client that does not know what got through sends all again
            client.post("/v1/events", json={"events": batch}).raise_for_status()
    children.stop()
    table = EventStore.at(home.events).events().filter(pl.col("session_id") == "kill")
    assert table.height == table["event_id"].n_unique() == 10_000


def _event() -> dict[str, object]:
    return {
        "event_id": uuid.uuid4().hex,
        "user_id": "killer",
        "item_id": "W01",
        "timestamp": "2024-01-01T00:00:00Z",
        "event": "click",
        "session_id": "kill",
    }


def _stored(home: Home) -> set[str]:
    return set(EventStore.at(home.events).events()["event_id"])


def _kill_tree(pid: int) -> None:
    for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
        os.kill(process.pid, signal.SIGKILL)
