"""The steps of the monitor as Prefect tasks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.settings import PREFECT_API_URL

from flows.settings import DecideConfig
from monitoring import frames
from recloop import columns as c
from recloop.config import Home
from recloop.data.catalogue import Catalogue
from recloop.decisions import Clicks, Condition, RollbackRules, should_roll_back
from recloop.registry.manifest import PAYLOAD, REFERENCE
from recloop.registry.payload import Payload
from recloop.registry.store import Registry
from recloop.store.events import EventStore

DRIFT_EVENT = "recloop.retrain.wanted"
RESOURCE = "recloop.model"
_SEED = 42


@dataclass(frozen=True)
class Watched:
    """What a monitor run looks at: the newest model, and what happened since its snapshot."""

    version: str
    created: datetime
    payload: Payload
    reference: pl.DataFrame
    reference_scores: pl.DataFrame
    events: pl.DataFrame
    served: pl.DataFrame
    all_events: pl.DataFrame


@task(name="gather", retries=2, retry_delay_seconds=5, timeout_seconds=300)
def gather(home: Home) -> Watched | None:
    """Read the event store and the newest model's reference; None before the first model.

    Drift is judged against the newest model trained, promoted or not: training again on the same
    data would give the same model.
    """
    registry = Registry(home)
    if not (versions := registry.versions()):
        return None
    folder = registry.path(versions[-1])
    payload = Payload.load(folder / PAYLOAD)
    events = EventStore.of(home).events()
    return Watched(
        version=versions[-1],
        created=registry.manifest(versions[-1]).created,
        payload=payload,
        reference=pl.read_parquet(folder / REFERENCE / "interactions.parquet"),
        reference_scores=pl.read_parquet(folder / REFERENCE / "scores.parquet"),
        events=events.filter(pl.col("seq") > payload.card.feedback_until),
        served=EventStore.of(home).served(),
        all_events=events,
    )


@task(name="measure drift", timeout_seconds=900)
def measure(watched: Watched, reports: Path, config: DecideConfig) -> Condition:
    """Evidently's reports and their numbers."""
    from monitoring import drift  # noqa: PLC0415 - Evidently takes seconds to import

    acted = watched.events.filter(pl.col(c.EVENT) != c.Event.IMPRESSION)
    trained_on = int(watched.payload.users["seen"].list.len().sum())
    age = (datetime.now(UTC) - watched.created).total_seconds() / 86_400
    columns: dict[str, float] = {}
    texts = scores = None
    if acted.height >= config.retrain.min_new_interactions:
        items = watched.payload.items
        popularity = pl.DataFrame({c.ITEM: items[c.ITEM], "count": watched.payload.counts})
        current, reference = (
            frames.describe(table, items, popularity) for table in (acted, watched.reference)
        )
        columns = drift.interaction_drift(
            current, reference, config.retrain.column_psi, reports / "interactions.html"
        )
        texts = drift.embedding_drift(
            _vectors(watched, acted), _vectors(watched, watched.reference), seed=_SEED
        )
    since = watched.served.filter(pl.col("model_version") == watched.version)
    if since.height >= config.retrain.min_new_interactions:
        scores = drift.score_drift(
            frames.top_scores(since),
            frames.top_scores(watched.reference_scores),
            config.retrain.score_psi,
            reports / "scores.html",
        )
    return Condition(acted.height, trained_on, age, columns, texts, scores)


def _vectors(watched: Watched, interactions: pl.DataFrame) -> NDArray[np.float32]:
    rows = Catalogue(watched.payload.items).rows(interactions[c.ITEM])
    return watched.payload.text[rows].astype(np.float32)


@task(name="count clicks")
def count_clicks(watched: Watched) -> dict[str, Clicks]:
    """Lists and clicked lists per model version."""
    table = frames.clicked(watched.served, watched.all_events)
    return {
        row["model_version"]: Clicks(row["model_version"], row["lists"], row["clicked"])
        for row in table.iter_rows(named=True)
    }


@task(name="ask for a retrain", retries=3, retry_delay_seconds=5, timeout_seconds=60)
def ask_for_retrain(version: str, reasons: list[str], condition: Condition) -> str:
    """Emit the event that the automation waits for; returns its id.

    Goes straight to the server's API: the client's emitter returns normally when the server is down.
    """
    event = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": DRIFT_EVENT,
        "resource": {"prefect.resource.id": RESOURCE, "prefect.resource.name": version},
        "payload": {"version": version, "reasons": reasons, "new": condition.new_interactions},
        "id": str(uuid4()),
    }
    answer = httpx.post(f"{PREFECT_API_URL.value()}/events", json=[event], timeout=30)
    answer.raise_for_status()
    return str(event["id"])


@task(name="roll back if worse")
def roll_back_if_worse(
    home: Home, clicks: dict[str, Clicks], rules: RollbackRules
) -> dict[str, Any]:
    """Return to the previous version where the champion is clicked significantly less."""
    registry = Registry(home)
    champion = registry.champion()
    if champion is None or champion.version not in clicks:
        return {"rolled_back": False, "reasons": ["the champion has served nothing yet"]}
    previous = clicks.get(champion.previous or "")
    worse, reasons = should_roll_back(clicks[champion.version], previous, rules)
    if worse and champion.previous:
        registry.promote(champion.previous, ["rolled back", *reasons])
    return {"rolled_back": worse, "reasons": reasons}


@task(name="publish")
def show_result(outcome: dict[str, Any]) -> None:
    """The numbers and the decision, for the Prefect UI."""
    lines = [f"**retrain: {'yes' if outcome['retrain'] else 'no'}**", ""]
    lines += [f"- {reason}" for reason in outcome["reasons"]]
    lines += ["", *(f"- {name}: {value}" for name, value in outcome["drift"].items())]
    create_markdown_artifact("\n".join(lines), key="drift", description="Drift and decision")
