"""Runner of the flows: registers the deployments with their schedules, without a work pool."""

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
from flows.monitor_tasks import MODEL_RESOURCE, RETRAIN_EVENT
from flows.retain import retain
from flows.retrain import retrain
from flows.settings import read_schedules

# As long as three heartbeats of the runner (PREFECT_FLOWS_HEARTBEAT_FREQUENCY is 30 s).
_SILENT_FOR = timedelta(seconds=90)


def main() -> None:
    """Serve the flows until interrupted.

    The monitor's event starts a retrain. Only one retrain runs at a time.
    """
    create_silent_run_automation()
    cron = read_schedules()
    on_request = DeploymentEventTrigger(
        name="retrain on request",
        expect={RETRAIN_EVENT},
        match={"prefect.resource.id": MODEL_RESOURCE},
        parameters={"reason": "drift", "requested_by": "{{ event.payload }}"},
    )
    one_at_a_time = ConcurrencyLimitConfig(
        limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
    )
    deployments = (
        retrain.to_deployment(
            "retrain",
            cron=cron.retrain,
            triggers=[on_request],
            concurrency_limit=one_at_a_time,
            tags=["recloop"],
        ),
        monitor.to_deployment("monitor", cron=cron.monitor, tags=["recloop"]),
        retain.to_deployment("retain", cron=cron.retain, tags=["recloop"]),
    )
    serve(*(_as_deployment(deployment) for deployment in deployments), print_starting_message=False)


def create_silent_run_automation() -> None:
    """Create the automation that marks a run without heartbeats as crashed.

    Otherwise the run of a killed process would count as running, and no retrain could start.
    """
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
                within=_SILENT_FOR,
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.CRASHED,
                    name=None,
                    message="no heartbeat for 90 s",
                    force=False,
                )
            ],
        ).create()


def _as_deployment(
    deployment: RunnerDeployment | Coroutine[Any, Any, RunnerDeployment],
) -> RunnerDeployment:
    """Return the deployment; Prefect returns a coroutine only in asynchronous code."""
    if isinstance(deployment, RunnerDeployment):
        return deployment
    raise TypeError("deployments must be created in synchronous code")


if __name__ == "__main__":
    main()
