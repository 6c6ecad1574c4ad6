"""Model versions: complete or absent, verified, and promoted atomically."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recloop.cli.main import app
from recloop.registry.champion import read_champion, write_champion
from recloop.registry.manifest import (
    CHECKPOINT,
    MANIFEST,
    PAYLOAD,
    CorruptModelError,
    Lineage,
    verify,
)
from recloop.registry.versions import Registry, UnknownVersionError

LINEAGE = Lineage(
    git_commit="c0ffee",
    git_ref="recloop/v1",
    data_version="d4ta.dir",
    model_hash="m0del.dir",
    validation={"passed": True},
    metrics={"recloop": {"ndcg@10": {"value": 0.1, "low": 0.09, "high": 0.11}}},
    params={},
)


@pytest.fixture
def files(payload, tmp_path) -> tuple[Path, Path]:
    model, reference = tmp_path / "model", tmp_path / "reference"
    model.mkdir()
    reference.mkdir()
    payload.save(model)
    payload.items.write_parquet(reference / "interactions.parquet")
    return model, reference


@pytest.fixture
def registry(home, files: tuple[Path, Path]) -> Registry:
    registry = Registry(home)
    registry.register("v1", *files, LINEAGE)
    return registry


def test_versions_are_numbered_and_found_by_model_hash(registry, files) -> None:
    second = registry.register(
        registry.next_version(), *files, LINEAGE.model_copy(update={"model_hash": "other"})
    )
    assert second.version == "v2"
    assert registry.next_version(taken=["v7"]) == "v8"
    assert registry.versions() == ["v1", "v2"]
    assert registry.find("m0del.dir") == "v1"
    assert registry.find("unheard of") is None
    assert registry.manifest("v1").lineage == LINEAGE


def test_a_checkpoint_is_stored_and_verified(registry, files, tmp_path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    checkpoint.joinpath("tuned.safetensors").write_bytes(b"weights")
    registry.register("v2", *files, LINEAGE, checkpoint=checkpoint)
    kept = registry.path("v2") / CHECKPOINT / "tuned.safetensors"
    assert kept.read_bytes() == b"weights"
    registry.check("v2")
    kept.write_bytes(b"other weights")
    with pytest.raises(CorruptModelError, match=r"tuned\.safetensors"):
        registry.check("v2")


def test_a_failed_registration_leaves_nothing(registry, tmp_path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        registry.register("v2", tmp_path / "nowhere", tmp_path, LINEAGE)
    assert registry.versions() == ["v1"]


def test_a_promotion_records_the_previous_version(registry, files) -> None:
    assert registry.champion() is None
    registry.promote("v1", ["first"])
    registry.register("v2", *files, LINEAGE)
    champion = registry.promote("v2", ["better"])
    assert (champion.version, champion.previous) == ("v2", "v1")
    assert registry.champion() == champion
    assert registry.promote("v2", ["again"]).previous == "v1"  # the previous version is kept


@pytest.mark.parametrize("harm", ["change", "remove", "add", "manifest"])
def test_a_damaged_model_is_neither_loaded_nor_promoted(registry, harm) -> None:
    folder = registry.path("v1")
    victim = folder / PAYLOAD / "tower.onnx"
    if harm == "change":
        victim.write_bytes(b"x" + victim.read_bytes()[1:])
    elif harm == "remove":
        victim.unlink()
    elif harm == "add":
        (folder / PAYLOAD / "extra.bin").write_bytes(b"")
    else:
        (folder / MANIFEST).write_text("{")
    with pytest.raises(CorruptModelError):
        verify(folder)
    with pytest.raises(CorruptModelError):
        registry.promote("v1", [])
    with pytest.raises(CorruptModelError):
        registry.load("v1")
    assert registry.champion() is None


def test_an_interrupted_registration_is_no_version_and_is_replaced(registry, files) -> None:
    registry.register("v2", *files, LINEAGE)
    registry.path("v2").joinpath(MANIFEST).unlink()
    assert registry.versions() == ["v1"]
    assert registry.register("v2", *files, LINEAGE).version == "v2"


def test_a_promotion_replaces_a_broken_pointer(registry, home) -> None:
    registry.promote("v1", [])
    home.champion.write_text("{")
    assert registry.promote("v1", []).version == "v1"


def test_other_folders_of_the_model_store_are_no_versions(registry) -> None:
    shutil.copytree(registry.path("v1"), registry.path("v1").parent / "v1-copy")
    assert registry.versions() == ["v1"]
    assert registry.next_version() == "v2"
    for name in ("v1-copy", "v1/../v1", "v01", "."):
        with pytest.raises(UnknownVersionError):
            registry.promote(name, [])
    assert registry.champion() is None


def test_an_unknown_version_is_an_error(registry) -> None:
    with pytest.raises(UnknownVersionError):
        registry.promote("v9", [])


def test_a_broken_pointer_is_an_error_not_a_missing_champion(tmp_path) -> None:
    path = tmp_path / "champion.json"
    assert read_champion(path) is None
    write_champion(path, "v1", [])
    path.write_text("{")
    with pytest.raises(ValueError, match="JSON"):
        read_champion(path)


def test_the_command_line_lists_promotes_and_recommends(registry) -> None:
    run = CliRunner().invoke
    assert run(app, ["recommend"]).exit_code == 1
    assert "v1 is the champion" in run(app, ["promote", "v1"]).output
    listed = run(app, ["models"]).output
    assert "v1 *" in listed
    assert "0.1000" in listed
    assert "east2" in run(app, ["recommend", "--user", "eve", "--query", "a film"]).output
    missing = run(app, ["promote", "v9"])
    assert missing.exit_code == 1
    assert "v9" in missing.output
