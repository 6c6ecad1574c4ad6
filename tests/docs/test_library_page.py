"""Tests that the Python examples of docs/library.md run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from transformers import AutoTokenizer, BertConfig, BertModel

from benchmarks.robustness.servers import NO_DEADLINE, Replica, packaged
from recloop.training.base_models import resolve_base
from tests.support import tiny_model

CLIENT, RECOMMENDER, EVALUATE, RANKER = re.findall(
    r"^```python\n(.*?)^```$",
    Path("docs/library.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def run(code: str, folder: Path) -> str:
    sources = os.pathsep.join(str(Path(name).resolve()) for name in ("src", "."))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": sources},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.system
def test_the_client(tmp_path: Path) -> None:
    replica = Replica(packaged(tmp_path), workers=1, extra=NO_DEADLINE)
    replica.start()
    try:
        code = CLIENT.replace("http://localhost:3000", replica.address).replace('["Drama"]', "[]")
        assert len(run(code, tmp_path).splitlines()) == 5
    finally:
        replica.stop()


def test_a_packaged_model(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "model"
    folder.mkdir(parents=True)
    tiny_model.payload().save(folder)
    assert len(run(RECOMMENDER, tmp_path).splitlines()) == 5


@pytest.mark.slow
def test_evaluate(tmp_path: Path) -> None:
    rows = [(user, (user + step) % 12, step) for user in range(30) for step in range(8)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    first = pl.when(pl.col("timestamp") < 6).then(pl.lit("train"))
    part = first.when(pl.col("timestamp") == 6).then(pl.lit("valid")).otherwise(pl.lit("test"))
    table.with_columns(part.alias("split")).write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame({"item_id": range(12)}).write_parquet(tmp_path / "items.parquet")
    # Training the sequence model takes long; the other two models are enough to run the example.
    code = (
        EVALUATE.replace('"DIR"', '"."')
        .replace('"recloop", ', "")
        .replace('["recloop"]', '["ease"]')
    )
    assert "'value': 1.0" in run(code, tmp_path)


@pytest.mark.slow
def test_a_ranker(tmp_path: Path) -> None:
    # A tiny model with random weights in place of the language model, which takes longer to train.
    base = tmp_path / "base"
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(base)
    config = BertConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    BertModel(config).save_pretrained(base)
    printed = run(RANKER.replace('"minilm"', repr(str(base))), tmp_path).splitlines()
    assert len(printed) == 2
    assert "log_loss" in printed[1]
