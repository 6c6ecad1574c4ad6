"""Registers the deployments with their schedules and runs them: Prefect without a work pool."""

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
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
    serve(
        retrain.to_deployment(
            "retrain", cron=cron.retrain, triggers=[wanted], concurrency_limit=one, tags=["recloop"]
        ),
        monitor.to_deployment("monitor", cron=cron.monitor, tags=["recloop"]),
        print_starting_message=False,
    )


if __name__ == "__main__":
    main()
