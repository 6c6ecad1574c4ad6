"""The whole loop in a checkout of its own: real Prefect server, DVC, Bento, HTTP, kill -9.

Each step of the loop is a fixture that needs the step before, so the tests pass in any order.
"""

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
from dataclasses import dataclass
from pathlib import Path

import httpx
import polars as pl
import psutil
import pytest
import yaml

from flows.processes import ProcessGroup, free_port, is_up
from recloop.config import Home
from recloop.registry.versions import Registry
from recloop.store.event_store import EventStore
from tests.support.checkout import Checkout

pytestmark = pytest.mark.system
PYTHON = sys.executable


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    checkout = Checkout.make(tmp_path_factory.mktemp("system"))
    yield checkout
    checkout.stop()


@pytest.fixture(scope="module")
def first_run(checkout: Checkout) -> dict:
    """Run the loop once and return its report."""
    return run_loop(checkout)


@pytest.fixture(scope="module")
def killed_run(checkout: Checkout, first_run: dict) -> None:
    """Start the loop again and kill it (SIGKILL) in the middle of a retrain."""
    home = Home(checkout.home)
    log = home.logs / "pipeline.log"
    before = log.stat().st_size
    process = checkout.start(PYTHON, "-m", "flows.run", output=home.root / "killed.log")
    until(lambda: log.stat().st_size > before or process.poll() is not None)
    assert process.poll() is None, (home.root / "killed.log").read_text()
    process.kill()
    process.wait(10)


@pytest.fixture(scope="module")
def second_run(checkout: Checkout, killed_run: None) -> dict:
    """Run the loop again after the run that was killed, and return its report."""
    return run_loop(checkout)


def run_loop(checkout: Checkout) -> dict:
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
    assert set(models) == {"recloop", "popularity", "item-knn", "ease", "sasrec"}
    assert all(
        m["ndcg@10"]["low"] <= m["ndcg@10"]["value"] <= m["ndcg@10"]["high"]
        for m in models.values()
    )
    ours = models["recloop"]["ndcg@10"]["value"]
    assert all(ours > models[n]["ndcg@10"]["value"] for n in ("popularity", "item-knn", "ease"))
    assert first_run["models"]["first"]["version"] == "v1"
    assert first_run["models"]["second"]["version"] == "v2"
    assert first_run["continues"] == {"first": None, "second": "v1"}
    assert first_run["first_decision"]["promoted"]
    assert first_run["bento"].startswith("recloop:")
    assert first_run["replay"]["events"] == 480
    assert first_run["replay"]["errors"] == 0
    assert first_run["snapshot"]["feedback"] == 480  # the second snapshot holds what came back
    assert set(first_run["drift"]["column_psi"]) >= {"category", "popularity", "activity"}
    assert first_run["retrain"]["requested"]
    assert first_run["retrain"]["reasons"]
    assert first_run["decision"]["reasons"]
    assert first_run["served"]["before"] == "v1"
    assert first_run["seconds"]["total"] > 0


def test_the_second_model_serves_exactly_if_the_comparison_allows_it(first_run: dict) -> None:
    """The rules of `params.yaml` are worked out from the numbers in the report."""
    found = first_run["decision"]["comparison"]
    assert found["champion_version"] == "v1"
    good_enough = (
        found["requests"] >= 100
        and found["difference"]["low"] >= -0.02 * found["champion"]["value"]
        and found["challenger_coverage"] >= 0.5 * found["champion_coverage"]
    )
    assert first_run["decision"]["promoted"] is good_enough
    assert first_run["served"]["after"] == ("v2" if good_enough else "v1")


def test_git_and_dvc_are_clean_after_a_run(checkout: Checkout, first_run: dict) -> None:
    assert checkout.run("git", "status", "--porcelain") == ""
    assert "up to date" in checkout.run("dvc", "status")
    assert "recloop" in checkout.run("dvc", "metrics", "show", "reports/metrics.json")
    assert {"recloop/v1", "recloop/v2"} <= set(checkout.run("git", "tag").split())
    assert "valid_ndcg" in checkout.run(
        "dvc", "metrics", "diff", "recloop/v1", "recloop/v2", "--targets", "reports/training.json"
    )
    checkout.run("dvc", "plots", "show", "--out", str(checkout.home / "plots"))
    assert (checkout.home / "plots" / "index.html").exists()


def test_a_reports_folder_holds_what_people_read(checkout: Checkout, first_run: dict) -> None:
    paths = (checkout.home / "reports" / "runs").glob("*.json")
    outcomes = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    trained = [run for run in outcomes if run.get("model", {}).get("fresh")]
    assert {"v1", "v2"} <= {run["model"]["version"] for run in trained}
    for run in trained:
        assert Path(run["reports"], "data-docs", "index.html").exists()
    drifted = [run for run in outcomes if (run.get("drift") or {}).get("column_psi")]
    assert drifted
    for run in drifted:
        assert Path(run["reports"], "interactions.html").exists()


def test_a_challenger_continues_from_the_champion(checkout: Checkout, first_run: dict) -> None:
    report = "reports/training.json"
    versions = ("recloop/v1", "recloop/v2", "--targets", report, "--json", "--all")
    found = json.loads(checkout.run("dvc", "metrics", "diff", *versions))[report]
    at_start, best = found["valid_ndcg@10_at_start"]["new"], found["valid_ndcg@10"]
    assert best["new"] >= at_start > 0.5 * best["old"]
    assert found["epochs"]["new"] <= 10  # a quarter of 40
    # Both models answer requests from the champion's data; the challenger must not be much worse.
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
    files = list((Registry(home).path("v1") / "model").iterdir())
    assert files
    for file in files:
        assert (again / "artifacts" / "model" / file.name).read_bytes() == file.read_bytes()


def test_after_a_killed_run_the_next_goes_on_and_skips_what_is_fresh(
    checkout: Checkout, first_run: dict, second_run: dict
) -> None:
    skipped = {"requests": 0, "events": 0, "skipped": 480, "hits": 0, "errors": 0}
    assert second_run["replay"] == skipped
    assert second_run["models"]["first"]["fresh"] is False
    assert second_run["models"]["second"] is None
    assert second_run["data_version"] == first_run["data_version"]
    assert second_run["metrics"] == first_run["metrics"]
    assert checkout.run("git", "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def up(checkout: Checkout, second_run: dict) -> Iterator[dict[str, str]]:
    """Start `make up` and return its addresses; in the end Ctrl-C must leave no child process."""
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
    assert is_up(f"{up['prefect']}/api/health")
    assert "recloop" in httpx.get(f"{up['service']}/docs").text
    assert httpx.get(f"{up['service']}/static_content/swagger-ui-bundle.js").is_success
    assert is_up(up["reports"])
    httpx.post(f"{up['service']}/v1/recommend", json={}).raise_for_status()
    assert "recloop_recommendations_total" in httpx.get(f"{up['service']}/metrics").text
    deployment = httpx.get(f"{up['prefect']}/api/deployments/name/retrain/retrain").json()
    assert deployment["schedules"][0]["schedule"]["cron"]
    query = {"flow_runs": {"name": {"like_": ""}}}
    runs = httpx.post(f"{up['prefect']}/api/flow_runs/filter", json=query).json()
    assert any((run["created_by"] or {}).get("type") == "AUTOMATION" for run in runs)


def test_the_run_that_was_killed_is_closed_as_crashed(up: dict) -> None:
    query = {
        "flows": {"name": {"any_": ["retrain"]}},
        "flow_runs": {"state": {"type": {"any_": ["CRASHED"]}}},
    }
    crashed = httpx.post(f"{up['prefect']}/api/flow_runs/filter", json=query).json()
    messages = [run["state"]["message"] for run in crashed]
    assert messages == ["the system was stopped during this run"]


@dataclass(frozen=True)
class Retrain:
    """A retrain's output, and the versions, the champion and the served one before and after."""

    printed: str
    versions: list[list[str]]
    champion: list[str]
    served: list[str]


@pytest.fixture(scope="module")
def worse_challenger(checkout: Checkout, up: dict) -> Retrain:
    """Retrain at a learning rate at which the sequence model keeps its random weights."""
    registry = Registry(Home(checkout.home))

    def champion() -> str:
        found = registry.champion()
        assert found is not None
        return found.version

    def served() -> str:
        answer = httpx.post(f"{up['service']}/v1/recommend", json={"user_id": "u1"})
        return answer.raise_for_status().json()["model_version"]

    versions, champions, answers = [registry.versions()], [champion()], [served()]
    path = checkout.folder / "params.yaml"
    good = path.read_text(encoding="utf-8")
    params = yaml.safe_load(good)
    params["train"] |= {"epochs": 1, "learning_rate": 1e-9, "text_learning_rate": 1e-9}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        printed = checkout.run(PYTHON, "-m", "flows.once", "retrain")
    finally:
        path.write_text(good, encoding="utf-8")
    versions.append(registry.versions())
    champions.append(champion())
    answers.append(served())
    return Retrain(" ".join(printed.split()), versions, champions, answers)


def test_a_worse_challenger_is_kept_but_does_not_serve(worse_challenger: Retrain) -> None:
    assert "may be worse" in worse_challenger.printed
    before, after = worse_challenger.versions
    assert len(after) == len(before) + 1
    assert worse_challenger.champion[1] == worse_challenger.champion[0] in before
    assert worse_challenger.served[1] == worse_challenger.champion[1]


def test_a_bad_row_fails_validation_and_the_champion_serves_on(
    checkout: Checkout, up: dict
) -> None:
    versions = Registry(Home(checkout.home)).versions()
    before = httpx.post(f"{up['service']}/v1/recommend", json={"user_id": "u1"}).json()
    path = checkout.source / "interactions.csv"
    good = path.read_text(encoding="utf-8")
    rows = good.splitlines()
    user, item, when, event, _ = rows[1000].split(",")
    rows[1000] = f"{user},{item},{when},{event},99"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    try:
        output = " ".join(checkout.run(PYTHON, "-m", "flows.once", "retrain", code=1).split())
    finally:
        path.write_text(good, encoding="utf-8")
    assert "expect_column_values_to_be_between on value broken by 1 rows" in output
    assert f"'user_id': '{user}'" in output
    assert Registry(Home(checkout.home)).versions() == versions
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
    checkout: Checkout, worse_challenger: Retrain
) -> None:
    """It follows the last retrain, because so many events at one time would dominate its data."""
    home = Home(checkout.home)
    children = ProcessGroup(home.root / "kill.json", home.logs)
    port = free_port(3100)
    address = f"http://127.0.0.1:{port}"
    command = ["bentoml", "serve", "recloop:latest", "--host", "127.0.0.1", "--port", str(port)]
    # BentoML empties the metrics in its home when a service starts; `up` may be serving.
    bentoml_home = home.root / "kill-bentoml"
    bentoml_home.mkdir()
    bentoml_home.joinpath("bentos").symlink_to(home.models / "bentos")
    environment = {**checkout.environment, "BENTOML_HOME": str(bentoml_home)}

    def serve() -> int:
        children.start("killed", command, environment, cwd=home.root)
        children.wait_until("killed", lambda: is_up(f"{address}/readyz"), 60)
        return children.processes["killed"].pid

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
    until(lambda: not psutil.pid_exists(pid) or children.processes["killed"].poll() is not None)
    assert 0 < len(acknowledged) < 10_000
    assert acknowledged <= _stored(home)

    serve()
    with httpx.Client(base_url=address, timeout=10) as client:
        for batch in batches:  # a client that does not know what got through sends all again
            client.post("/v1/events", json={"events": batch}).raise_for_status()
    children.stop()
    table = EventStore.at(home.events).events().filter(pl.col("session_id") == "kill")
    assert table.height == table["event_id"].n_unique() == 10_000


def _event() -> dict[str, str]:
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
