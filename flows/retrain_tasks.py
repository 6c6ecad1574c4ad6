"""Steps of the retrain flow as Prefect tasks: each calls one tool and returns a typed result."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from prefect import task

from flows import publish
from flows import workspace as ws
from flows.results import ModelMetrics, PackagedModel, SnapshotFacts, TrainingReport
from flows.shell import CommandError, run
from flows.workspace import Workspace
from recloop.config import Home
from recloop.decisions import (
    Decision,
    Interval,
    ModelComparison,
    PromotionRules,
    TrainedModel,
    WarmStartRules,
    choose_warm_start,
    should_promote,
)
from recloop.evaluation.report import PRIMARY_METRIC, RECLOOP
from recloop.logs import get_log
from recloop.registry.manifest import CHECKPOINT, PAYLOAD, Lineage
from recloop.registry.versions import Registry
from recloop.settings import variables_of
from recloop.stages import files
from recloop.stages.compare import CHALLENGER, CHAMPION
from recloop.validation.result import ValidationResult

BASELINE = "popularity"


class ValidationFailedError(RuntimeError):
    """The snapshot breaks a critical rule; nothing is trained and the champion keeps serving."""


class RetrainRunningError(RuntimeError):
    """Another retrain of this home is running."""


@contextmanager
def retrain_lock(home: Home) -> Iterator[None]:
    """Hold the retrain lock of a home.

    Raises:
        RetrainRunningError: Another retrain holds it.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(home.root / "retrain.lock").acquire(blocking=False)
    except Timeout as error:
        raise RetrainRunningError("another retrain is running in this home") from error
    with lock:
        yield


@task(name="prepare workspace", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def prepare_workspace(home: Home, log: Path) -> Workspace:
    """Clone the checkout as it is now, with changes that are not committed."""
    return Workspace.prepare(home, log)


@task(name="take snapshot", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def take_snapshot(space: Workspace) -> SnapshotFacts:
    """Take a snapshot of the source and of the feedback up to now; DVC versions it."""
    space.dvc("repro", "--force", "--single-item", "snapshot")
    facts = files.read_json(space.folder / files.SNAPSHOT_INFO)
    data_version = space.output_hash("snapshot", files.SNAPSHOT.as_posix())
    return SnapshotFacts(data_version=data_version, **facts)


@task(name="validate snapshot", timeout_seconds=600)
def validate_snapshot(space: Workspace, reports: Path) -> ValidationResult:
    """Check the snapshot with Great Expectations.

    Raises:
        ValidationFailedError: A critical rule fails; the message names the rules and rows.
    """
    report = space.folder / files.VALIDATION
    failed: CommandError | None = None
    try:
        space.dvc("repro", "validate")
    except CommandError as error:
        failed = error
    if failed and not report.exists():
        raise failed
    validation = ValidationResult.model_validate(files.read_json(report))
    publish.publish_validation(validation)
    if not validation.passed:
        publish.copy_reports(space, reports)
        raise ValidationFailedError("; ".join(validation.reasons()))
    if failed:
        raise failed
    return validation


@task(name="prepare warm start", timeout_seconds=600)
def prepare_warm_start(
    home: Home, space: Workspace, snapshot: SnapshotFacts, rules: WarmStartRules
) -> None:
    """Copy the checkpoint that training continues into the workspace, if there is one.

    A champion that this version of recloop cannot load is not continued.
    """
    settings = _training_settings(ws.read_params(space.folder))
    # A model that is pretrained on the catalogue has different starting weights for each catalogue.
    if (settings["pretrain"] or {}).get("epochs"):
        rules = WarmStartRules(generations=0)
    ancestors = list(_champion_lineage(Registry(home)))
    version = choose_warm_start(ancestors, snapshot.data_version, settings, rules)
    (variable,) = variables_of("start")
    space.dvc("repro", "--force", "--single-item", "start", **{variable: version or ""})


def _champion_lineage(registry: Registry) -> Iterator[TrainedModel]:
    champion, kept = registry.champion(), registry.versions()
    version = champion.version if champion else None
    if version and (problem := registry.problem(version)):
        get_log("retrain").warning("training starts from scratch", because=problem)
        return
    while version in kept and registry.path(version).joinpath(CHECKPOINT).exists():
        if registry.problem(version):
            return
        lineage = registry.manifest(version).lineage
        settings = _training_settings(lineage.params)
        yield TrainedModel(version, lineage.data_version, settings, lineage.parent)
        version = lineage.parent


def _training_settings(params: dict[str, Any]) -> dict[str, Any]:
    return {block: params.get(block) for block in ("pretrain", "split", "train")}


@task(name="run pipeline", timeout_seconds=6 * 3600)
def run_pipeline(space: Workspace) -> tuple[ModelMetrics, TrainingReport]:
    """Run all stages from split to evaluation that DVC finds stale."""
    space.dvc("repro")
    metrics = files.read_json(space.folder / files.METRICS)
    training = files.read_json(space.folder / files.TRAINING)
    return ModelMetrics.model_validate(metrics), TrainingReport.model_validate(training)


@task(name="package model", timeout_seconds=900)
def package_model(
    home: Home,
    space: Workspace,
    training: TrainingReport,
    validation: ValidationResult,
    metrics: ModelMetrics,
    reason: str,
) -> PackagedModel:
    """Commit the run, register the model as a version, tag the commit, build the Bento.

    A model that is registered already keeps its version.
    """
    registry = Registry(home)
    model_hash = space.output_hash("export", files.MODEL.as_posix())
    data_version = space.output_hash("snapshot", files.SNAPSHOT.as_posix())
    bento = build_bento(home, space)
    if (registered := registry.find(model_hash)) is not None:
        commit = registry.manifest(registered).lineage.git_commit
        return PackagedModel(
            version=registered, fresh=False, commit=commit, data_version=data_version, bento=bento
        )
    commit = space.commit(f"recloop: retrain ({reason})")
    version = registry.next_version(ws.tagged_versions())
    lineage = Lineage(
        git_commit=commit,
        git_ref=space.tag_version(version),
        data_version=data_version,
        model_hash=model_hash,
        validation=validation.model_dump(mode="json"),
        metrics=metrics.model_dump()["models"],
        params=ws.read_params(space.folder),
        parent=training.continues,
        naming=files.read_json(space.folder / files.SNAPSHOT_INFO)["naming"],
    )
    manifest = registry.register(
        version,
        payload=space.folder / files.MODEL,
        reference=space.folder / files.REFERENCE,
        lineage=lineage,
        checkpoint=space.folder / files.CHECKPOINT,
    )
    return PackagedModel(
        version=manifest.version, fresh=True, commit=commit, data_version=data_version, bento=bento
    )


def build_bento(home: Home, space: Workspace) -> str:
    """Build the service from the sources of this run and return the Bento's tag."""
    extra = {"BENTOML_HOME": str(home.models)}
    command = ["bentoml", "build", "src", "-f", "bentofile.yaml", "--output", "tag"]
    return run(command, space.folder, extra=extra).strip().splitlines()[-1].removeprefix("__tag__:")


@task(name="compare with the champion", timeout_seconds=1800)
def compare_with_champion(
    home: Home, space: Workspace, packaged: PackagedModel, metrics: ModelMetrics
) -> ModelComparison | None:
    """Compare both models on requests later than the champion's training data.

    Without a champion, or with one that this version of recloop cannot load, the model is compared
    with popularity.

    Returns:
        The comparison, None if the packaged model is the champion.
    """
    registry = Registry(home)
    champion = registry.champion()
    problem = registry.problem(champion.version) if champion else None
    if champion is None or problem:
        measured = metrics.model_dump()
        models, ahead = measured["models"], measured["ahead_of"]
        first = _comparison(
            BASELINE, metrics.requests, models[RECLOOP], models[BASELINE], ahead[BASELINE]
        )
        return replace(first, first=True, problem=problem)
    if champion.version == packaged.version:
        return None
    folder = registry.path(champion.version) / PAYLOAD
    space.stage("compare", "--champion", str(folder))
    found = files.read_json(space.folder / files.COMPARISON)
    if not found["requests"]:
        nothing = Interval(0.0, 0.0, 0.0)
        return ModelComparison(champion.version, 0, nothing, nothing, nothing, 0.0, 0.0)
    models = found["models"]
    return _comparison(
        champion.version,
        found["requests"],
        models[CHALLENGER],
        models[CHAMPION],
        found["difference"],
    )


@task(name="decide")
def decide(
    comparison: ModelComparison | None, packaged: PackagedModel, rules: PromotionRules
) -> Decision:
    """Decide whether the packaged model is promoted, with reasons."""
    if comparison is None:
        return False, [f"{packaged.version} is the champion already"]
    return should_promote(comparison, rules)


@task(name="promote model", retries=2, retry_delay_seconds=5, timeout_seconds=600)
def promote_model(home: Home, packaged: PackagedModel, reasons: list[str]) -> None:
    """Make the packaged model the champion."""
    Registry(home).promote(packaged.version, reasons)


@task(name="publish dvc.lock")
def publish_lock(home: Home, space: Workspace) -> None:
    """Copy the `dvc.lock` of the promoted run into the checkout. A failure is only logged."""
    try:
        published = ws.publish_lock(space.folder / ws.LOCK, home)
    except CommandError as error:
        get_log("retrain").warning("dvc.lock not published to the checkout", error=str(error))
    else:
        get_log("retrain").info("dvc.lock published to the checkout", published=published)


def _comparison(
    champion: str,
    requests: int,
    ours: dict[str, Any],
    theirs: dict[str, Any],
    difference: dict[str, float],
) -> ModelComparison:
    return ModelComparison(
        champion_version=champion,
        requests=requests,
        challenger=Interval(**ours[PRIMARY_METRIC]),
        champion=Interval(**theirs[PRIMARY_METRIC]),
        difference=Interval(**difference),
        challenger_coverage=ours["coverage@10"],
        champion_coverage=theirs["coverage@10"],
    )
