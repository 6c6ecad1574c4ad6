"""Registers the deployments with their schedules and runs them: Prefect without a work pool."""

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from prefect import serve
from prefect.automations import Automation
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    StateType,
)
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.monitor import monitor
from flows.retain import retain
from flows.retrain import retrain
from flows.settings import schedules
from flows.watch import DRIFT_EVENT, RESOURCE

# Three heartbeats of the runner (PREFECT_FLOWS_HEARTBEAT_FREQUENCY is 30 s).
_SILENCE = timedelta(seconds=90)


def main() -> None:
    """Serve the flows until interrupted. A drift event starts a retrain; one runs at a time."""
    crash_silent_runs()
    cron = schedules()
    wanted = DeploymentEventTrigger(
        name="retrain when wanted",
        expect={DRIFT_EVENT},
        match={"prefect.resource.id": RESOURCE},
        parameters={"reason": "drift", "wanted_by": "{{ event.payload }}"},
    )
    one = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
    deployments = (
        retrain.to_deployment(
            "retrain", cron=cron.retrain, triggers=[wanted], concurrency_limit=one, tags=["recloop"]
        ),
        monitor.to_deployment("monitor", cron=cron.monitor, tags=["recloop"]),
        retain.to_deployment("retain", cron=cron.retain, tags=["recloop"]),
    )
    serve(*(_now(deployment) for deployment in deployments), print_starting_message=False)


def crash_silent_runs() -> None:
    """Let the server mark a run that went silent as crashed, so that it does not hold its slot."""
    name = "crash silent runs"
    try:
        Automation.read(name=name)  # type: ignore[unused-coroutine]
    except ValueError:
        Automation(
            name=name,
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={
                    "prefect.flow-run.heartbeat",
                    *(
                        f"prefect.flow-run.{end}"
                        for end in ("Completed", "Failed", "Cancelled", "Crashed")
                    ),
                },
                match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=_SILENCE,
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.CRASHED,
                    name=None,
                    message="the run has gone silent",
                    force=False,
                )
            ],
        ).create()


def _now(deployment: RunnerDeployment | Coroutine[Any, Any, RunnerDeployment]) -> RunnerDeployment:
    """Prefect's signature allows for a coroutine, which only asynchronous code gets."""
    if isinstance(deployment, RunnerDeployment):
        return deployment
    raise TypeError("deployments are made in synchronous code")


if __name__ == "__main__":
    main()
