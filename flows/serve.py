"""Registers the deployments with their schedules and runs them: Prefect without a work pool."""

from collections.abc import Coroutine
from typing import Any

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger

from flows.monitor import monitor
from flows.retrain import retrain
from flows.settings import schedules
from flows.watch import DRIFT_EVENT, RESOURCE


def main() -> None:
    """Serve both flows until interrupted. A drift event starts a retrain; one runs at a time."""
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
    )
    serve(*(_now(deployment) for deployment in deployments), print_starting_message=False)


def _now(deployment: RunnerDeployment | Coroutine[Any, Any, RunnerDeployment]) -> RunnerDeployment:
    """Prefect's signature allows for a coroutine, which only asynchronous code gets."""
    if isinstance(deployment, RunnerDeployment):
        return deployment
    raise TypeError("deployments are made in synchronous code")


if __name__ == "__main__":
    main()
