"""The steps of a retrain as Prefect tasks: each calls one tool and returns plain values."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import task

from flows import publish
from flows import workspace as ws
from flows.publish import Packaged
from flows.shell import CommandError, run
from flows.workspace import Workspace
from recloop.config import Home
from recloop.decisions import (
    Ancestor,
    Decision,
    Interval,
    PromotionRules,
    Rivalry,
    WarmStartRules,
    choose_start,
    should_promote,
)
from recloop.evaluation.report import HEADLINE, OURS
from recloop.logs import get_log
from recloop.registry.manifest import CHECKPOINT, PAYLOAD, Lineage
from recloop.registry.store import Registry
from recloop.stages import files
from recloop.stages.compare import CHALLENGER, CHAMPION
from recloop.stages.start import VARIABLE
from recloop.validation.verdict import Verdict

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
    report = space.folder / files.VALIDATION
    failed: CommandError | None = None
    try:
        space.dvc("repro", "validate")
    except CommandError as error:
        failed = error
    if failed and not report.exists():
        raise failed
    verdict = Verdict.model_validate(files.read_json(report))
    publish.show_verdict(verdict)
    if not verdict.passed:
        publish.keep_reports(space, reports)
        raise GateShutError("; ".join(verdict.reasons()))
    if failed:
        raise failed
    return verdict.model_dump(mode="json")


@task(name="lay out the start", timeout_seconds=600)
def lay_out_start(
    home: Home, space: Workspace, snapshot: dict[str, Any], rules: WarmStartRules
) -> None:
    """The checkpoint of the version that training is to continue; nothing for scratch."""
    settings = _training_settings(ws.read_params(space.folder))
    if (settings["pretrain"] or {}).get("epochs"):  # another base for each catalogue
        rules = WarmStartRules(generations=0)
    ancestors = list(_ancestors(Registry(home)))
    version = choose_start(ancestors, snapshot["data_version"], settings, rules)
    space.dvc("repro", "--force", "--single-item", "start", **{VARIABLE: version or ""})


def _ancestors(registry: Registry) -> Iterator[Ancestor]:
    champion, kept = registry.champion(), registry.versions()
    version = champion.version if champion else None
    while version in kept and registry.path(version).joinpath(CHECKPOINT).exists():
        lineage = registry.manifest(version).lineage
        settings = _training_settings(lineage.params)
        yield Ancestor(version, lineage.data_version, settings, lineage.parent)
        version = lineage.parent


def _training_settings(params: dict[str, Any]) -> dict[str, Any]:
    return {block: params.get(block) for block in ("pretrain", "split", "train")}


@task(name="reproduce the pipeline", timeout_seconds=6 * 3600)
def reproduce(space: Workspace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Whatever DVC finds stale, from split to evaluation; returns the metrics, and how it trained."""
    space.dvc("repro")
    metrics, training = (files.read_json(space.folder / p) for p in (files.METRICS, files.TRAINING))
    return metrics, training


@task(name="package", timeout_seconds=900)
def package(
    home: Home,
    space: Workspace,
    training: dict[str, Any],
    verdict: dict[str, Any],
    metrics: dict[str, Any],
    reason: str,
) -> Packaged:
    """Commit the run, register the model as a version, tag the commit, build the Bento.

    A model that is registered already keeps its version.
    """
    registry = Registry(home)
    model_hash = space.output_hash("export", files.MODEL.as_posix())
    data_version = space.output_hash("snapshot", files.SNAPSHOT.as_posix())
    bento = build_bento(home, space)
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
        parent=training["continues"],
        naming=files.read_json(space.folder / files.SNAPSHOT_FACTS)["naming"],
    )
    manifest = registry.register(
        version,
        payload=space.folder / files.MODEL,
        reference=space.folder / files.REFERENCE,
        lineage=lineage,
        checkpoint=space.folder / files.CHECKPOINT,
    )
    return Packaged(
        version=manifest.version, fresh=True, commit=commit, data_version=data_version, bento=bento
    )


def build_bento(home: Home, space: Workspace) -> str:
    """Build the service from the run's sources; returns the Bento's tag."""
    extra = {"BENTOML_HOME": str(home.models)}
    command = ["bentoml", "build", "src", "-f", "bentofile.yaml", "--output", "tag"]
    return run(command, space.folder, extra=extra).strip().splitlines()[-1].removeprefix("__tag__:")


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
        first = _rivalry(FLOOR, metrics["requests"], models[OURS], models[FLOOR], ahead[FLOOR])
        return replace(first, first=True)
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
        models[CHALLENGER],
        models[CHAMPION],
        found["difference"],
    )


@task(name="decide")
def decide(rivalry: Rivalry | None, packaged: Packaged, rules: PromotionRules) -> Decision:
    """Promote or keep, with reasons."""
    if rivalry is None:
        return False, [f"{packaged.version} is the champion already: nothing new to promote"]
    return should_promote(rivalry, rules)


@task(name="promote", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def promote(home: Home, packaged: Packaged, reasons: list[str]) -> None:
    """Switch the champion pointer."""
    Registry(home).promote(packaged.version, reasons)


@task(name="show it in the checkout")
def adopt(home: Home, space: Workspace) -> None:
    """Let the checkout's DVC show the promoted run; a checkout that cannot is no reason to fail."""
    try:
        adopted = ws.adopt_lock(space.folder / ws.LOCK, home)
    except CommandError as error:
        get_log("retrain").warning("the checkout does not show the promoted run", why=str(error))
    else:
        get_log("retrain").info("checkout", shows_the_promoted_run=adopted)


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
