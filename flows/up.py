"""`make up`: the system, staying up until Ctrl-C."""

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.processes import StartError
from flows.run import EXPECTED, Steps
from flows.system import RETRAIN, System
from recloop.config import Home
from recloop.registry.store import Registry

console = Console()


def main(
    *,
    service_only: Annotated[
        bool, typer.Option(help="Only the service, with the champion.")
    ] = False,
) -> None:
    """Start everything; train a first model where there is none; then wait for Ctrl-C."""
    home = Home.from_environment()
    try:
        with System.running(home, "service" if service_only else "system") as system:
            if service_only:
                _start_service(system, Steps(home))
            else:
                _start(system, Steps(home))
            console.print("Ctrl-C stops everything.")
            _watch(system)
    except KeyboardInterrupt:
        console.print("stopped")
        return
    except EXPECTED as error:
        console.print(f"[red]✗[/] {escape(str(error))}")
    sys.exit(1)


def _start(system: System, steps: Steps) -> None:
    with steps.step("start Prefect and register the deployments"):
        system.start_reports()
        system.start_prefect()
    if Registry(system.home).champion() is None:
        with steps.step("retrain") as status:
            run = system.server.start(RETRAIN, {"reason": "first start"})
            system.server.wait(run, lambda: steps.tick(status, "retrain"))
        if Registry(system.home).champion() is None:
            reasons = "; ".join(system.outcome("retrain")["reasons"])
            raise StartError(f"no model was good enough: {reasons}")
    _start_service(system, steps)
    console.print(f"Prefect UI   {system.at.prefect}")
    console.print(f"Reports      {system.at.reports}")


def _start_service(system: System, steps: Steps) -> None:
    if Registry(system.home).champion() is None:
        raise StartError("there is no champion to serve yet: `make run` or `make up` trains one")
    with steps.step("serve the Bento"):
        system.start_service()
    console.print(f"Service      {system.at.service}  (OpenAPI page: {system.at.service}/docs)")


def _watch(system: System) -> None:
    while not (dead := system.children.dead()):
        time.sleep(1)
    console.print(f"[red]✗[/] {dead[0]} has ended:\n{escape(system.children.tail(dead[0]))}")


if __name__ == "__main__":
    typer.run(main)
