"""Client of the Prefect server: start flow runs, wait for them, and close stale runs."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed, Scheduled

_UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_TIMEOUT_SECONDS = 30


class FlowFailedError(RuntimeError):
    """A flow run did not complete; the message names the run, its state and the reason."""


class PrefectServer:
    """Client of one Prefect server, built on Prefect's own client.

    Prefect's client repeats requests that a busy server refuses. All methods except `is_healthy`
    raise `httpx.HTTPError` if the server cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = SyncPrefectClient(
            f"{address}/api", httpx_settings={"timeout": _TIMEOUT_SECONDS}
        )

    def is_healthy(self) -> bool:
        """Return whether the server is up."""
        return self._client.api_healthcheck() is None

    def deployment(self, name: str) -> DeploymentResponse | None:
        """Return a deployment by `flow/deployment`, None if it is not registered."""
        try:
            return self._client.read_deployment_by_name(name)
        except ObjectNotFound:
            return None

    def start(self, name: str, parameters: dict[str, object] | None = None) -> UUID:
        """Create a run of a deployment and return the run's id.

        Raises:
            FlowFailedError: There is no such deployment.
        """
        deployment = self.deployment(name)
        if deployment is None:
            raise FlowFailedError(f"there is no deployment {name}")
        # With the key, a repeated request does not start a second run.
        return self._client.create_flow_run_from_deployment(
            deployment.id,
            parameters=parameters,
            state=Scheduled(),
            idempotency_key=str(uuid.uuid4()),
        ).id

    def wait_for_run(
        self, run_id: UUID, on_poll: Callable[[], None], seconds: float = 7200
    ) -> FlowRun:
        """Wait for a run to complete, calling `on_poll` meanwhile, and return it.

        Raises:
            FlowFailedError: The run failed, crashed or was cancelled, or did not end in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                run = self._client.read_flow_run(run_id)
            except httpx.TransportError:  # the server is busy: try again until the deadline
                time.sleep(1)
                continue
            if run.state is not None and run.state.is_completed():
                return run
            if run.state is not None and run.state.is_final():
                state = run.state
                raise FlowFailedError(f"{run.name} {str(state.name).lower()}: {state.message}")
            on_poll()
            time.sleep(0.5)
        raise FlowFailedError(f"flow run {run_id} did not end within {seconds:.0f} s")

    def wait_for_automation(
        self, name: str, since: datetime, on_poll: Callable[[], None], seconds: float = 120
    ) -> UUID:
        """Wait until an automation has started a run of a deployment after `since`; return its id.

        Raises:
            FlowFailedError: There is no such deployment, or no such run in time.
        """
        deployment = self.deployment(name)
        if deployment is None:
            raise FlowFailedError(f"there is no deployment {name}")
        new_runs = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"after_": since}),
        )
        newest_first = FlowRunSort.EXPECTED_START_TIME_DESC
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for run in self._client.read_flow_runs(flow_run_filter=new_runs, sort=newest_first):
                if run.created_by is not None and run.created_by.type == "AUTOMATION":
                    return run.id
            on_poll()
            time.sleep(0.5)
        raise FlowFailedError(f"no automation has started {name} within {seconds:.0f} s")

    def close_stale_runs(self) -> None:
        """Mark runs that a killed system left unfinished as crashed.

        Otherwise they would count as running, and the next retrain would wait for them. Call it
        before the runner of the flows starts, when no run can be in progress.
        """
        state_type = FlowRunFilterStateType(any_=_UNFINISHED)
        unfinished = FlowRunFilter(state=FlowRunFilterState(type=state_type))
        for run in self._client.read_flow_runs(flow_run_filter=unfinished):
            crashed: State[None] = Crashed(message="the system was stopped during this run")
            self._client.set_flow_run_state(run.id, crashed, force=True)


def now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)
