"""`make run`: the whole loop once, in the foreground, with a summary at its end."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from flows import replay, summary
from flows.processes import PortTakenError, StartError
from flows.server import FlowFailedError, now
from flows.shell import CHECKOUT, CommandError
from flows.system import MONITOR, RETRAIN, System, SystemRunningError
from recloop.config import ConfigError, Home
from recloop.data.sources import SourceError
from recloop.registry.store import Registry
from recloop.store.naming import NamingError

EXPECTED = (
    CommandError,
    ConfigError,
    FlowFailedError,
    NamingError,
    PortTakenError,
    SourceError,
    StartError,
    SystemRunningError,
    httpx.HTTPError,
)
REPORT = CHECKOUT / "reports" / "run.json"

console = Console(stderr=True)


class Steps:
    """Shows the step under way and keeps the seconds of each."""

    def __init__(self, home: Home) -> None:
        self.seconds: dict[str, float] = {}
        self._log = home.logs / "pipeline.log"

    @contextmanager
    def step(self, name: str) -> Iterator[Status]:
        """Time a step; the pipeline's newest line is shown beside it."""
        started = time.monotonic()
        with console.status(f"{name} …") as status:
            yield status
        self.seconds[name] = round(time.monotonic() - started, 1)
        console.print(f"[green]✓[/] {name} [dim]{self.seconds[name]:.1f} s[/]")

    def tick(self, status: Status, name: str) -> None:
        """Show what the pipeline said last."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - 400))
                lines = log.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "")
            status.update(f"{name} … [dim]{escape(last[:100])}[/]")


def main() -> int:
    """Run the loop; 0 when all of it worked."""
    home = Home.from_environment()
    try:
        with System.running(home) as system:
            outcome = run_loop(system, Steps(home))
    except KeyboardInterrupt:
        return _fail("interrupted; everything is stopped, and the next run picks up what is fresh")
    except EXPECTED as error:
        return _fail(str(error))
    _write(outcome)
    Console().print(summary.screen(outcome))
    return 0


def run_loop(system: System, steps: Steps) -> dict[str, Any]:
    """Retrain, serve, replay, monitor, and retrain again where the monitor asks for it."""
    home, server, started = system.home, system.server, time.monotonic()
    with steps.step("start Prefect and register the deployments"):
        system.start_reports()
        system.start_prefect()
    first = _flow(system, steps, RETRAIN, "retrain", {"reason": "make run"})
    if not system.home.champion.exists():
        raise FlowFailedError(f"no model was good enough: {'; '.join(first['reasons'])}")
    with steps.step("serve the Bento"):
        system.start_service(first["model"]["bento"])
        before = _version(system)
    later = replay.later_stretch(home)
    with steps.step("replay later interactions as live traffic") as status:
        done, total = [0], replay.moments(later)

        def progress(moments: int) -> None:
            done[0] += moments
            status.update(f"replay … {done[0]} of {total} requests")

        tally = replay.replay(later, home, system.at.service, progress)
    if tally.errors:
        raise FlowFailedError(f"{tally.errors} of {tally.requests} replayed requests failed")
    asked_at = now()
    monitored = _flow(system, steps, MONITOR, "monitor")
    second = None
    if monitored["retrain"]:
        with steps.step("retrain, started by the automation") as status:
            name = "retrain, started by the automation"
            run = server.started_by_automation(RETRAIN, asked_at, lambda: None)
            server.wait(run, lambda: steps.tick(status, name))
        second = system.outcome("retrain")
    after = _await_champion(system)
    return summary.outcome(
        first,
        monitored,
        second,
        vars(tally),
        (before, after),
        steps.seconds,
        time.monotonic() - started,
    )


def _flow(
    system: System,
    steps: Steps,
    deployment: str,
    name: str,
    parameters: dict[str, Any] | None = None,
) -> dict[str, Any]:
    with steps.step(name) as status:
        run = system.server.start(deployment, parameters)
        system.server.wait(run, lambda: steps.tick(status, name))
    return system.outcome(name)


def _version(system: System) -> str:
    """The model version that answers now."""
    with replay.client_of(system.at.service) as client:
        answer = client.post("/v1/recommend", json={"k": 1})
    return str(answer.raise_for_status().json()["model_version"])


def _await_champion(system: System) -> str:
    """The version that answers once the service has followed the pointer."""
    champion = Registry(system.home).champion()
    expected = champion.version if champion else None
    deadline = time.monotonic() + 30
    while (serving := _version(system)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    if serving != expected:
        raise FlowFailedError(f"the service answers with {serving}, the champion is {expected}")
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
