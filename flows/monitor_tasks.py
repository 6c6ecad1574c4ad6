"""Steps of the monitor flow as Prefect tasks."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.events import Event, Resource

from flows.results import MonitorOutcome, RollbackResult
from flows.settings import DecisionConfig
from monitoring import frames
from recloop import columns as c
from recloop.config import Home
from recloop.data.catalogue import Catalogue
from recloop.decisions import DriftSummary, RollbackRules, VersionClicks, should_roll_back
from recloop.registry.manifest import PAYLOAD, REFERENCE
from recloop.registry.payload import Payload
from recloop.registry.versions import Registry
from recloop.store.event_store import EventStore

RETRAIN_EVENT = "recloop.retrain.requested"
MODEL_RESOURCE = "recloop.model"
_NO_CONTENT = 204
_SEED = 42


@dataclass(frozen=True)
class MonitorInput:
    """Input of a monitor run: the newest model and what has happened since its snapshot."""

    version: str
    created: datetime
    payload: Payload
    reference: pl.DataFrame
    reference_scores: pl.DataFrame
    events: pl.DataFrame
    served: pl.DataFrame
    all_events: pl.DataFrame


@task(name="load input", retries=2, retry_delay_seconds=5, timeout_seconds=300)
def load_input(home: Home) -> MonitorInput | None:
    """Read the event store and the reference data of the newest model.

    Drift is measured against the newest model, even if it was not promoted: another retrain on its
    data would give the same model again. Returns None without a model, or if that model cannot be
    loaded.
    """
    registry = Registry(home)
    versions = registry.versions()
    if not versions or registry.problem(versions[-1]):
        return None
    folder = registry.path(versions[-1])
    payload = Payload.load(folder / PAYLOAD)
    store = EventStore.of(home)
    try:
        events, served = store.events(), store.served()
    finally:
        store.close()
    return MonitorInput(
        version=versions[-1],
        created=registry.manifest(versions[-1]).created,
        payload=payload,
        reference=pl.read_parquet(folder / REFERENCE / "interactions.parquet"),
        reference_scores=pl.read_parquet(folder / REFERENCE / "scores.parquet"),
        events=events.filter(pl.col("seq") > payload.config.feedback_until),
        served=served,
        all_events=events,
    )


@task(name="check the champion", timeout_seconds=300)
def champion_problem(home: Home) -> str | None:
    """Return why the champion cannot be loaded; None where it can, or where there is none."""
    registry = Registry(home)
    champion = registry.champion()
    return registry.problem(champion.version) if champion else None


@task(name="measure drift", timeout_seconds=900)
def measure_drift(monitored: MonitorInput, reports: Path, config: DecisionConfig) -> DriftSummary:
    """Write Evidently's reports and return their numbers.

    With too few new interactions, only their number and the model's age are measured.
    """
    from monitoring import drift  # noqa: PLC0415 - Evidently takes seconds to import

    acted = monitored.events.filter(pl.col(c.EVENT) != c.Event.IMPRESSION)
    trained_on = int(monitored.payload.users["seen"].list.len().sum())
    age = (datetime.now(UTC) - monitored.created).total_seconds() / 86_400
    columns: dict[str, float] = {}
    texts = scores = None
    if acted.height >= config.retrain.min_new_interactions:
        items = monitored.payload.items
        popularity = pl.DataFrame({c.ITEM: items[c.ITEM], "count": monitored.payload.counts})
        current, reference = (
            frames.interaction_features(table, items, popularity)
            for table in (acted, monitored.reference)
        )
        columns = drift.interaction_drift(
            current, reference, config.retrain.column_psi, reports / "interactions.html"
        )
        texts = drift.embedding_drift(
            _vectors(monitored, acted), _vectors(monitored, monitored.reference), seed=_SEED
        )
    since = monitored.served.filter(pl.col("model_version") == monitored.version)
    if since.height >= config.retrain.min_new_interactions:
        scores = drift.score_drift(
            frames.mean_top_scores(since),
            frames.mean_top_scores(monitored.reference_scores),
            config.retrain.score_psi,
            reports / "scores.html",
        )
    return DriftSummary(acted.height, trained_on, age, columns, texts, scores)


def _vectors(monitored: MonitorInput, interactions: pl.DataFrame) -> NDArray[np.float32]:
    rows = Catalogue(monitored.payload.items).rows(interactions[c.ITEM])
    return monitored.payload.text[rows].astype(np.float32)


@task(name="count clicks")
def count_clicks(monitored: MonitorInput) -> dict[str, VersionClicks]:
    """Count served and clicked lists of each model version."""
    table = frames.click_counts(monitored.served, monitored.all_events)
    return {
        row["model_version"]: VersionClicks(row["model_version"], row["lists"], row["clicked"])
        for row in table.iter_rows(named=True)
    }


@task(name="request retrain", retries=3, retry_delay_seconds=5, timeout_seconds=60)
def request_retrain(version: str, reasons: list[str], new_interactions: int) -> UUID:
    """Send the event that starts the retrain deployment, and return its id.

    It is sent by the client's general method `request`, because the server confirms it there with
    status 204. Prefect's `emit_event` returns normally even if the server is down.

    Raises:
        RuntimeError: The server did not confirm the event.
        httpx.HTTPError: The server refused the event or cannot be reached.
    """
    event = Event(
        event=RETRAIN_EVENT,
        resource=Resource(
            {"prefect.resource.id": MODEL_RESOURCE, "prefect.resource.name": version}
        ),
        payload={"version": version, "reasons": reasons, "new": new_interactions},
    )
    with get_client(sync_client=True) as client:
        response = client.request("POST", "/events", json=[event.model_dump(mode="json")])
    if response.status_code != _NO_CONTENT:
        raise RuntimeError(
            f"the event was not confirmed: status {response.status_code} instead of {_NO_CONTENT}"
        )
    return event.id


@task(name="roll back if worse")
def roll_back_if_worse(
    home: Home, clicks: dict[str, VersionClicks], rules: RollbackRules
) -> RollbackResult:
    """Promote the previous version again if the champion's click-through is significantly lower."""
    registry = Registry(home)
    champion = registry.champion()
    if champion is None or champion.version not in clicks:
        return RollbackResult(rolled_back=False, reasons=["the champion has served no list yet"])
    previous = clicks.get(champion.previous or "")
    worse, reasons = should_roll_back(clicks[champion.version], previous, rules)
    if worse and champion.previous:
        if problem := registry.problem(champion.previous):
            return RollbackResult(rolled_back=False, reasons=[problem, *reasons])
        registry.promote(champion.previous, ["rolled back", *reasons])
    return RollbackResult(rolled_back=worse, reasons=reasons)


@task(name="publish drift")
def publish_drift(outcome: MonitorOutcome) -> None:
    """Publish the drift numbers and the decision as an artifact in Prefect's UI."""
    lines = [f"**retrain: {'yes' if outcome.retrain else 'no'}**", ""]
    lines += [f"- {reason}" for reason in outcome.reasons]
    if outcome.drift is not None:
        lines += ["", *(f"- {name}: {value}" for name, value in asdict(outcome.drift).items())]
    create_markdown_artifact(
        "\n".join(lines), key="drift", description="Drift, and whether a retrain was requested"
    )
