"""`make monitor`, `make retrain`: one run of a flow, through the system that is up, or one of its own."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.run import EXPECTED
from flows.server import PrefectServer
from flows.system import Addresses, System
from recloop.config import Home

console = Console()


def main(name: Annotated[str, typer.Argument(help="monitor or retrain")]) -> None:
    """Run the flow and print what it decided."""
    home = Home.from_environment()
    try:
        if (up := Addresses.of_running(home)) and PrefectServer(up.prefect).healthy():
            system = System(home, up)
            _run(system, name)
        else:
            with System.running(home) as system:
                system.start_prefect()
                _run(system, name)
    except EXPECTED as error:
        console.print(f"[red]✗[/] {escape(str(error))}")
        sys.exit(1)
    for reason in system.outcome(name)["reasons"]:
        console.print(f"- {escape(reason)}")


def _run(system: System, name: str) -> None:
    run = system.server.start(f"{name}/{name}")
    with console.status(f"{name} …"):
        system.server.wait(run, lambda: None)


if __name__ == "__main__":
    typer.run(main)
