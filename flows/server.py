"""Talking to the Prefect server over its HTTP API."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
from prefect.client.base import PrefectHttpxSyncClient

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_OPEN = ["RUNNING", "PENDING", "CANCELLING"]


class FlowFailedError(RuntimeError):
    """A flow run ended in another state than completed; the message is the run's own."""


class PrefectServer:
    """The few calls that the loop needs, tried again where the server says that it is busy."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = PrefectHttpxSyncClient(
            base_url=f"{address}/api", timeout=30, raise_on_all_errors=False
        )

    def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return httpx.get(f"{self.address}/api/health", timeout=30).is_success
        except httpx.HTTPError:
            return False

    def deployment(self, name: str) -> dict[str, Any] | None:
        """A deployment by `flow/deployment`, None where it is not registered."""
        answer = self._client.get(f"/deployments/name/{name}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _json(answer)

    def start(self, name: str, parameters: dict[str, Any] | None = None) -> str:
        """Create a run of a deployment; returns the run's id."""
        deployment = self.deployment(name)
        if deployment is None:
            raise FlowFailedError(f"there is no deployment {name}")
        body = {
            "parameters": parameters or {},
            "state": {"type": "SCHEDULED"},
            "idempotency_key": str(uuid.uuid4()),  # asked twice, started once
        }
        answer = self._client.post(f"/deployments/{deployment['id']}/create_flow_run", json=body)
        return str(_json(answer)["id"])

    def wait(self, run_id: str, tick: Callable[[], None], seconds: float = 7200) -> dict[str, Any]:
        """Wait for a run to end, calling `tick` meanwhile. Raises FlowFailedError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                run: dict[str, Any] = _json(self._client.get(f"/flow_runs/{run_id}"))
            except httpx.TransportError:  # a busy server is slow to answer; the deadline decides
                time.sleep(1)
                continue
            state = run.get("state") or {}
            if state.get("type") == "COMPLETED":
                return run
            if state.get("type") in FINAL:
                raise FlowFailedError(
                    f"{run['name']} {state['name'].lower()}: {state.get('message')}"
                )
            tick()
            time.sleep(0.5)
        raise FlowFailedError(f"flow run {run_id} did not end within {seconds:.0f} s")

    def started_by_automation(
        self, name: str, since: datetime, tick: Callable[[], None], seconds: float = 120
    ) -> str:
        """Wait for the run that an automation creates after `since`. Raises FlowFailedError."""
        deployment = self.deployment(name)
        query = {
            "flow_runs": {
                "deployment_id": {"any_": [deployment["id"] if deployment else ""]},
                "expected_start_time": {"after_": since.isoformat()},
            },
            "sort": "EXPECTED_START_TIME_DESC",
        }
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for run in _json(self._client.post("/flow_runs/filter", json=query)):
                if (run.get("created_by") or {}).get("type") == "AUTOMATION":
                    return str(run["id"])
            tick()
            time.sleep(0.5)
        raise FlowFailedError(f"no automation has started {name} within {seconds:.0f} s")

    def close_stale_runs(self) -> None:
        """Mark runs that a killed system left open as crashed, so that they hold no slot.

        Only for the moment before a runner starts: nothing can be running then.
        """
        query = {"flow_runs": {"state": {"type": {"any_": _OPEN}}}}
        for run in _json(self._client.post("/flow_runs/filter", json=query)):
            state = {"type": "CRASHED", "message": "the system was stopped during this run"}
            body = {"state": state, "force": True}
            self._client.post(f"/flow_runs/{run['id']}/set_state", json=body).raise_for_status()


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON of a server
    answer.raise_for_status()
    return answer.json()
