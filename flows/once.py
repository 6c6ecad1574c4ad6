"""`make monitor`, `retrain`, `retain`: one run, through the system that is up or through one of its own."""

import sys
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.run import EXPECTED
from flows.server import PrefectServer, now
from flows.system import RETRAIN, Addresses, System
from recloop.config import Home

console = Console()


def main(name: Annotated[str, typer.Argument(help="monitor, retrain or retain")]) -> None:
    """Run the flow and print what it decided."""
    home = Home.from_environment()
    try:
        if (up := Addresses.of_running(home)) and PrefectServer(up.prefect).healthy():
            system = System(home, up)
            _run(system, name)
        else:
            with System.running(home) as system:
                system.start_prefect()
                since = now()
                _run(system, name)
                if name == "monitor" and system.outcome(name)["retrain"]:
                    _await_retrain(system, since)
    except KeyboardInterrupt:
        sys.exit(130)
    except EXPECTED as error:
        console.print(f"[red]✗[/] {escape(str(error))}")
        sys.exit(1)
    for reason in system.outcome(name)["reasons"]:
        console.print(f"- {escape(reason)}")


def _await_retrain(system: System, since: datetime) -> None:
    """The retrain that the monitor asked for needs this system until it ends."""
    with console.status("retrain, started by the automation …"):
        run = system.server.started_by_automation(RETRAIN, since, lambda: None)
        system.server.wait(run, lambda: None)


def _run(system: System, name: str) -> None:
    run = system.server.start(f"{name}/{name}")
    with console.status(f"{name} …"):
        system.server.wait(run, lambda: None)


if __name__ == "__main__":
    typer.run(main)
