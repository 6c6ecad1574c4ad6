"""Test that the stages and `recloop evaluate` train, package and rank in the same way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from recloop.benchmark.config import BenchmarkConfig
from recloop.benchmark.dataset import read_folder
from recloop.benchmark.preparation import prepare
from recloop.benchmark.training import rank_test_requests, train_and_package
from recloop.config import Home
from recloop.data.interaction_log import PART
from recloop.data.split import joined, split_interactions
from recloop.evaluation.report import to_rows
from recloop.stages import export, files, pretrain, ranker, recommend, snapshot, split, start, train
from recloop.stages.training_data import read_training_data
from recloop.training.base_models import TextConfig
from recloop.training.channels.fitted_channels import ChannelGrids, FittedChannels
from tests.support.checkout import small_base

USERS, ITEMS, STEPS = 40, 24, 9
STAGES = (snapshot, split, start, pretrain, train, ranker, export)


def write_folder(folder: Path) -> None:
    """Write random interactions, no item twice for a user, and the split of leave-one-out."""
    rng, start = np.random.default_rng(3), 1_700_000_000
    rows = [
        {"user_id": f"u{user}", "item_id": f"i{item}", "timestamp": start + 3_600 * step + user}
        for user in range(USERS)
        for step, item in enumerate(rng.choice(ITEMS, STEPS, replace=False))
    ]
    parts = joined(split_interactions(pl.DataFrame(rows), "leave-one-out", 0.1, 0.1))
    names = {0: "train", 1: "valid", 2: "test"}
    named = parts.with_columns(pl.col(PART).replace_strict(names).alias("split")).drop(PART)
    named.write_parquet(folder / "interactions.parquet")
    items = [{"item_id": f"i{n}", "title": f"Film {n}", "text": "A drama"} for n in range(ITEMS)]
    pl.DataFrame(items).write_parquet(folder / "items.parquet")


@pytest.mark.slow
def test_stages_and_evaluate_give_the_same_lists(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path)
    base = str(small_base(tmp_path / "base"))
    source = {"kind": "parquet", "folder": str(tmp_path)}
    params = {
        "snapshot": {"source": source},
        "split": {"protocol": "leave-one-out"},
        "train": {"seed": 5, "seconds": 0.01, "text": {"base": base}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    for stage in STAGES:
        stage.main()
    recommend.main(files.MODEL, files.PREDICTIONS)
    catalogue = read_training_data().catalogue
    by_stages = to_rows(pl.read_parquet(files.PREDICTIONS / "recloop.parquet"), catalogue)

    config = BenchmarkConfig(models=("recloop",), seed=5, seconds=0.01)
    benchmark = prepare(read_folder(tmp_path), config)
    settings = benchmark.config.model_copy(update={"text": TextConfig(base=base)})
    benchmark = replace(benchmark, config=settings)
    channels = FittedChannels(benchmark.data, ChannelGrids(), config.seed)
    model = train_and_package(benchmark, channels, lambda _: None)
    by_evaluate = rank_test_requests(model.recommender, benchmark)

    assert benchmark.data.catalogue.ids == catalogue.ids
    # Eight of 24 items are in the history, and masked.
    assert (by_evaluate >= 0).sum(1).tolist() == [16] * USERS
    assert by_stages.tolist() == by_evaluate.tolist()
    assert len({tuple(row) for row in by_evaluate.tolist()}) == USERS
