"""Commands `make monitor`, `make retrain` and `make retain`: run one flow once."""

import sys
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.results import MonitorOutcome, Outcome, read_outcome
from flows.run import EXPECTED_ERRORS
from flows.server import PrefectServer, now
from flows.system import RETRAIN, Addresses, System
from recloop.settings import read_settings

console = Console()


def main(
    name: Annotated[str, typer.Argument(help="Name of the flow: monitor, retrain or retain.")],
) -> None:
    """Run a flow once and print the reasons for its decision.

    If the system is running (`make up`), the flow runs there. Otherwise Prefect is started for it.
    """
    try:
        settings = read_settings()
        up = Addresses.of_running(settings.home)
        if up is not None and PrefectServer(up.prefect).is_healthy():
            outcome = _run(System(settings, up), name)
        else:
            with System.running(settings) as system:
                system.start_prefect()
                since = now()
                outcome = _run(system, name)
                if isinstance(outcome, MonitorOutcome) and outcome.retrain:
                    _await_retrain(system, since)
    except KeyboardInterrupt:
        sys.exit(130)
    except EXPECTED_ERRORS as error:
        console.print(f"[red]✗[/] {escape(str(error))}")
        sys.exit(1)
    for reason in outcome.reasons:
        console.print(f"- {escape(reason)}")


def _await_retrain(system: System, since: datetime) -> None:
    """Keep the system running until the retrain that the monitor requested has ended."""
    with console.status("retrain, started by the automation …"):
        run = system.server.wait_for_automation(RETRAIN, since, lambda: None)
        system.server.wait_for_run(run, lambda: None)


def _run(system: System, name: str) -> Outcome:
    run = system.server.start(f"{name}/{name}")
    with console.status(f"{name} …"):
        system.server.wait_for_run(run, lambda: None)
    return read_outcome(system.home, run, MonitorOutcome if name == "monitor" else Outcome)


if __name__ == "__main__":
    typer.run(main)
