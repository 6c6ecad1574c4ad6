"""Tests that `dvc.yaml` matches the code and that the settings files fit their classes."""

from pathlib import Path

import pytest
import yaml

from flows.settings import read_decision_config, read_retention, read_schedules
from recloop.config import BLOCKS, ConfigError, ConfigModel, read_block
from tests.support.dvc_deps import imported_files

PIPELINE = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_depends_on_exactly_the_modules_that_it_imports(stage) -> None:
    listed = {dependency for dependency in PIPELINE[stage]["deps"] if dependency.startswith("src/")}
    assert listed == imported_files(stage)


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_names_the_blocks_that_it_reads(stage) -> None:
    source = Path(f"src/recloop/stages/{stage}.py").read_text(encoding="utf-8")
    read = {block for block in PARAMS if f'read_block("{block}"' in source}
    assert set(PIPELINE[stage].get("params", [])) == read
    assert PIPELINE[stage]["cmd"] == f"python -m recloop.stages.{stage}"


def test_every_block_is_read_by_somebody() -> None:
    named = {block for stage in PIPELINE.values() for block in stage.get("params", [])}
    assert named | {"decide", "schedules", "retention"} == set(PARAMS) == BLOCKS
    assert read_decision_config().retrain.column_psi > 0
    assert read_schedules().monitor.count(" ") == 4
    assert read_retention().events_days is None


def test_prefect_yaml_has_the_same_schedules() -> None:
    deployments = yaml.safe_load(Path("prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    crons = {deployment["name"]: deployment["schedules"][0]["cron"] for deployment in deployments}
    assert crons == read_schedules().model_dump() == PARAMS["schedules"]


class Small(ConfigModel):
    size: int = 3
    share: float = 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split: {size: many}", "split.size"),
        ("split: {sise: 3}", "split.sise"),
        ("split: {size: yes}", "split.*size must not be true"),
        ("split: {share: .nan}", "split.share.*finite"),
        ("snapshoot: {}", "unknown block snapshoot"),
        ("split: [", "not readable YAML"),
        (None, "does not exist"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, message) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_block("split", Small, path)


def test_a_missing_block_means_defaults(tmp_path) -> None:
    (tmp_path / "params.yaml").write_text("")
    assert read_block("split", Small, tmp_path / "params.yaml").size == 3
