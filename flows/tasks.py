"""The steps of a retrain as Prefect tasks: each calls one tool and returns plain values."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import task

from flows import publish
from flows import workspace as ws
from flows.publish import Packaged
from flows.settings import decide_config
from flows.shell import CHECKOUT, CommandError, run
from flows.workspace import Workspace
from recloop.config import Home
from recloop.decisions import Decision, Interval, Rivalry, should_promote
from recloop.evaluation.report import HEADLINE
from recloop.registry.manifest import PAYLOAD, Lineage
from recloop.registry.store import Registry
from recloop.stages import files

FLOOR = "popularity"


class GateShutError(RuntimeError):
    """The snapshot breaks a critical rule: nothing was trained, and the champion goes on serving."""


class RetrainRunningError(RuntimeError):
    """Another retrain of this home is under way."""


@contextmanager
def one_at_a_time(home: Home) -> Iterator[None]:
    """Hold the home's retrain lock. Raises RetrainRunningError when somebody else does."""
    home.root.mkdir(parents=True, exist_ok=True)
    with home.root.joinpath("retrain.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RetrainRunningError("another retrain is running in this home") from error
        yield


@task(name="prepare workspace", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def prepare(home: Home, log: Path) -> Workspace:
    """Clone the checkout as it is now."""
    return Workspace.prepare(home, log)


@task(name="take snapshot", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def take_snapshot(space: Workspace) -> dict[str, Any]:
    """Source and feedback as of now, versioned by DVC."""
    space.dvc("repro", "--force", "--single-item", "snapshot")
    facts = files.read_json(space.folder / files.SNAPSHOT_FACTS)
    return {**facts, "data_version": space.output_hash("snapshot", files.SNAPSHOT.as_posix())}


@task(name="pass the gate", timeout_seconds=600)
def pass_gate(space: Workspace, reports: Path) -> dict[str, Any]:
    """Great Expectations over the snapshot. Raises GateShutError, naming rules and rows."""
    try:
        space.dvc("repro", "validate")
    except CommandError as error:
        if not space.folder.joinpath(files.VALIDATION).exists():
            raise
        verdict = files.read_json(space.folder / files.VALIDATION)
        broken = [failure for failure in verdict["failures"] if failure["severity"] == "critical"]
        publish.keep_reports(space, reports)
        publish.show_verdict(verdict)
        raise GateShutError("; ".join(map(publish.sentence, broken)) or str(error)) from None
    verdict = files.read_json(space.folder / files.VALIDATION)
    publish.show_verdict(verdict)
    return verdict


@task(name="reproduce the pipeline", timeout_seconds=6 * 3600)
def reproduce(space: Workspace) -> dict[str, Any]:
    """Whatever DVC finds stale, from split to evaluation; returns the metrics."""
    space.dvc("repro")
    return files.read_json(space.folder / files.METRICS)


@task(name="package", timeout_seconds=900)
def package(
    home: Home, space: Workspace, verdict: dict[str, Any], metrics: dict[str, Any], reason: str
) -> Packaged:
    """Commit the run, register the model as a version, tag the commit, build the Bento.

    A model that is registered already keeps its version.
    """
    registry = Registry(home)
    model_hash = space.output_hash("export", files.MODEL.as_posix())
    data_version = space.output_hash("snapshot", files.SNAPSHOT.as_posix())
    bento = build_bento(home)
    if (known := registry.find(model_hash)) is not None:
        commit = registry.manifest(known).lineage.git_commit
        return Packaged(
            version=known, fresh=False, commit=commit, data_version=data_version, bento=bento
        )
    commit = space.commit(f"recloop: retrain ({reason})")
    version = registry.next_version(ws.published_versions())
    lineage = Lineage(
        git_commit=commit,
        git_ref=space.publish(version),
        data_version=data_version,
        model_hash=model_hash,
        validation=verdict,
        metrics=metrics["models"],
        params=ws.read_params(space.folder),
    )
    payload, reference = space.folder / files.MODEL, space.folder / files.REFERENCE
    manifest = registry.register(version, payload, reference, lineage)
    return Packaged(
        version=manifest.version, fresh=True, commit=commit, data_version=data_version, bento=bento
    )


def build_bento(home: Home) -> str:
    """Build the service from the checkout's sources; returns the Bento's tag."""
    extra = {"BENTOML_HOME": str(home.models)}
    command = ["bentoml", "build", "src", "-f", "bentofile.yaml", "--output", "tag"]
    return run(command, CHECKOUT, extra=extra).strip().splitlines()[-1].removeprefix("__tag__:")


@task(name="compare with the champion", timeout_seconds=1800)
def compare(
    home: Home, space: Workspace, packaged: Packaged, metrics: dict[str, Any]
) -> Rivalry | None:
    """Both models on the same later requests; with no champion yet, popularity is the rival.

    None where the packaged model is the champion.
    """
    champion = Registry(home).champion()
    if champion is None:
        models, ahead = metrics["models"], metrics["ahead_of"]
        return _rivalry(FLOOR, metrics["requests"], models["recloop"], models[FLOOR], ahead[FLOOR])
    if champion.version == packaged.version:
        return None
    folder = Registry(home).path(champion.version) / PAYLOAD
    space.stage("compare", "--champion", str(folder))
    found = files.read_json(space.folder / files.COMPARISON)
    if not found["requests"]:
        nothing = Interval(0.0, 0.0, 0.0)
        return Rivalry(champion.version, 0, nothing, nothing, nothing, 0.0, 0.0)
    models = found["models"]
    return _rivalry(
        champion.version,
        found["requests"],
        models["challenger"],
        models["champion"],
        found["difference"],
    )


@task(name="decide")
def decide(rivalry: Rivalry | None, packaged: Packaged) -> Decision:
    """Promote or keep, with reasons."""
    if rivalry is None:
        return False, [f"{packaged.version} is the champion already: nothing new to promote"]
    return should_promote(rivalry, decide_config().promotion)


@task(name="promote", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def promote(home: Home, space: Workspace, packaged: Packaged, reasons: list[str]) -> None:
    """Switch the champion pointer, then let the checkout show the promoted run."""
    Registry(home).promote(packaged.version, reasons)
    ws.adopt_lock(space.folder / ws.LOCK)


def _rivalry(
    rival: str, requests: int, ours: dict[str, Any], theirs: dict[str, Any], gap: dict[str, float]
) -> Rivalry:
    return Rivalry(
        rival=rival,
        requests=requests,
        challenger=Interval(**ours[HEADLINE]),
        champion=Interval(**theirs[HEADLINE]),
        difference=Interval(**gap),
        challenger_coverage=ours["coverage@10"],
        champion_coverage=theirs["coverage@10"],
    )
