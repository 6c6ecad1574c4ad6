"""Command `make run`: run the whole loop once and print a summary."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from flows import replay, summary
from flows.processes import PortTakenError, StartError
from flows.results import MonitorOutcome, Result, RetrainOutcome, read_outcome
from flows.server import FlowFailedError, now
from flows.shell import CHECKOUT, CommandError
from flows.system import MONITOR, RETRAIN, System, SystemRunningError
from recloop.config import ConfigError, Home
from recloop.data.sources import SourceError
from recloop.registry.versions import Registry
from recloop.settings import read_settings
from recloop.store.schema_version import StoreSchemaError
from recloop.store.user_id_scheme import UserIdSchemeError

EXPECTED_ERRORS = (
    CommandError,
    ConfigError,
    FlowFailedError,
    UserIdSchemeError,
    PortTakenError,
    SourceError,
    StartError,
    StoreSchemaError,
    SystemRunningError,
    httpx.HTTPError,
)
REPORT = CHECKOUT / "reports" / "run.json"

console = Console(stderr=True)


class StepTimer:
    """Display of the current step, and the seconds that each step took."""

    def __init__(self, home: Home) -> None:
        self.seconds: dict[str, float] = {}
        self._log = home.logs / "pipeline.log"

    @contextmanager
    def step(self, name: str) -> Iterator[Status]:
        """Show a step while it runs, and measure its time."""
        started = time.monotonic()
        with console.status(f"{name} …") as status:
            yield status
        self.seconds[name] = round(time.monotonic() - started, 1)
        console.print(f"[green]✓[/] {name} [dim]{self.seconds[name]:.1f} s[/]")

    def show_last_log_line(self, status: Status, name: str) -> None:
        """Show the last line of the pipeline's log beside the name of the step."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - 400))
                lines = log.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "")
            status.update(f"{name} … [dim]{escape(last[:100])}[/]")


def main() -> int:
    """Run the loop and return the exit code, 0 if every step succeeded."""
    try:
        settings = read_settings()
        with System.running(settings) as system:
            outcome = run_loop(system, StepTimer(settings.home))
    except KeyboardInterrupt:
        return _fail(
            "interrupted: everything is stopped, and the next run reuses the finished stages"
        )
    except EXPECTED_ERRORS as error:
        return _fail(str(error))
    _write(outcome)
    Console().print(summary.render(outcome))
    return 0


def run_loop(system: System, steps: StepTimer) -> dict[str, Any]:
    """Retrain, serve, replay, monitor, and retrain again if the monitor requests it.

    Raises:
        FlowFailedError: A flow failed, no model was good enough, or a replayed request failed.
    """
    started = time.monotonic()
    with steps.step("start Prefect and register the deployments"):
        system.start_reports()
        system.start_prefect()
    run = system.server.start(RETRAIN, {"reason": "make run"})
    first = _read_result(system, steps, "retrain", run, RetrainOutcome)
    if Registry(system.home).loadable_champion() is None:
        raise FlowFailedError(f"no model was good enough: {'; '.join(first.reasons)}")
    with steps.step("serve the Bento"):
        system.start_service(first.model.bento)
        before = _served_version(system)
    replayed = _replay(system, steps)
    since = now()
    monitored = _read_result(system, steps, "monitor", system.server.start(MONITOR), MonitorOutcome)
    second = None
    if monitored.retrain:
        run = system.server.wait_for_automation(RETRAIN, since, lambda: None)
        name = "retrain, started by the automation"
        second = _read_result(system, steps, name, run, RetrainOutcome)
    served = (before, _await_champion(system))
    outcome = summary.summarise(first, monitored, second, replayed, served, steps.seconds)
    outcome["seconds"]["total"] = round(time.monotonic() - started, 1)
    return outcome


def _replay(system: System, steps: StepTimer) -> replay.ReplayCounts:
    later = replay.read_live_interactions(system.home)
    with steps.step("replay later interactions as live traffic") as status:
        done, total = 0, replay.count_requests(later)

        def show_progress(requests: int) -> None:
            nonlocal done
            done += requests
            status.update(f"replay … {done} of {total} requests")

        address, key = system.addresses.service, system.settings.api_key
        counts = replay.replay(later, system.home, address, show_progress, key)
    if counts.errors:
        raise FlowFailedError(f"{counts.errors} of {counts.requests} replayed requests failed")
    return counts


def _read_result(
    system: System, steps: StepTimer, name: str, run: UUID, kind: type[Result]
) -> Result:
    """Wait for a flow run to complete and return its outcome."""
    with steps.step(name) as status:
        system.server.wait_for_run(run, lambda: steps.show_last_log_line(status, name))
    return read_outcome(system.home, run, kind)


def _served_version(system: System) -> str:
    """Return the model version that the service uses now."""
    with replay.client_of(system.addresses.service, system.settings.api_key) as client:
        answer = client.post("/v1/recommend", json={"k": 1})
    return str(answer.raise_for_status().json()["model_version"])


def _await_champion(system: System) -> str:
    """Wait until the service has loaded the champion, and return its version."""
    champion = Registry(system.home).champion()
    expected = champion.version if champion else None
    deadline = time.monotonic() + 30
    while (serving := _served_version(system)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    if serving != expected:
        raise FlowFailedError(
            f"the service has not loaded the champion {expected}: it serves {serving}"
        )
    return serving


def _write(document: dict[str, Any]) -> None:
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")


def _fail(message: str) -> int:
    console.print(f"[red]✗[/] {escape(message)}")
    _write({"status": "failed", "error": message})
    return 1


if __name__ == "__main__":
    sys.exit(main())
