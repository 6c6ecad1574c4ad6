"""Tests of the folder in which benchmarks run the stages of the pipeline."""

from benchmarks.pipeline import prepare_folder
from recloop.config import read_block
from recloop.data.snapshot import SnapshotConfig
from recloop.data.split import SplitConfig
from recloop.training.finetuning.sequence_model import TrainConfig


def test_the_stages_get_all_data_and_the_changed_settings(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path / "of user"))
    folder = tmp_path / "run"
    folder.mkdir()
    prepare_folder(folder, {"split": {"protocol": "leave-one-out"}, "train": {"seed": 7}})
    params = folder / "params.yaml"
    assert read_block("snapshot", SnapshotConfig, params).history_share == 1
    assert read_block("split", SplitConfig, params).protocol == "leave-one-out"
    assert read_block("train", TrainConfig, params).seed == 7


def test_the_home_has_the_sources_of_the_user_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RECLOOP_HOME", str(tmp_path / "of user"))
    folder = tmp_path / "run"
    folder.mkdir()
    prepare_folder(folder, {})
    (tmp_path / "of user" / "sources" / "films.csv").write_text("downloaded before")
    assert [path.name for path in (folder / "home").rglob("*")] == ["sources"]
    assert (folder / "home" / "sources" / "films.csv").read_text() == "downloaded before"
