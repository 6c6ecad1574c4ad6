"""Command `make up`: start the system and keep it running until Ctrl-C."""

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.processes import StartError
from flows.results import RetrainOutcome, read_outcome
from flows.run import EXPECTED_ERRORS, StepTimer
from flows.system import RETRAIN, System
from recloop.registry.versions import Registry
from recloop.settings import read_settings

console = Console()


def main(
    *,
    service_only: Annotated[
        bool, typer.Option(help="Start only the service, with the champion.")
    ] = False,
) -> None:
    """Start the system, train a first model if there is none, and wait for Ctrl-C."""
    try:
        settings = read_settings()
        with System.running(settings, "service" if service_only else "system") as system:
            if service_only:
                _start_service(system, StepTimer(settings.home))
            else:
                _start(system, StepTimer(settings.home))
            console.print("Ctrl-C stops everything.")
            _watch(system)
    except KeyboardInterrupt:
        console.print("stopped")
        return
    except EXPECTED_ERRORS as error:
        console.print(f"[red]✗[/] {escape(str(error))}")
    sys.exit(1)


def _start(system: System, steps: StepTimer) -> None:
    with steps.step("start Prefect and register the deployments"):
        system.start_reports()
        system.start_prefect()
    if Registry(system.home).loadable_champion() is None:
        with steps.step("retrain") as status:
            run = system.server.start(RETRAIN, {"reason": "first start"})
            system.server.wait_for_run(run, lambda: steps.show_last_log_line(status, "retrain"))
        if Registry(system.home).loadable_champion() is None:
            reasons = "; ".join(read_outcome(system.home, run, RetrainOutcome).reasons)
            raise StartError(f"no model was good enough: {reasons}")
    _start_service(system, steps)
    console.print(f"Prefect UI   {system.addresses.prefect}")
    console.print(f"Reports      {system.addresses.reports}")


def _start_service(system: System, steps: StepTimer) -> None:
    registry = Registry(system.home)
    champion = registry.champion()
    if champion is None:
        raise StartError("there is no champion to serve yet: `make run` or `make up` trains one")
    if problem := registry.problem(champion.version):
        raise StartError(f"the champion cannot be served: {problem}; `make up` retrains by itself")
    with steps.step("serve the Bento"):
        system.start_service()
    console.print(
        f"Service      {system.addresses.service}  (OpenAPI page: {system.addresses.service}/docs)"
    )


def _watch(system: System) -> None:
    while not (dead := system.processes.ended()):
        time.sleep(1)
    console.print(f"[red]✗[/] {dead[0]} has ended:\n{escape(system.processes.log_tail(dead[0]))}")


if __name__ == "__main__":
    typer.run(main)
