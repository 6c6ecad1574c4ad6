"""Tests of the ablation of `recloop evaluate`: variants, older states and slices."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from recloop.cli.main import app
from tests.benchmark.test_evaluate import interactions, write
from tests.support.checkout import small_base

ARGUMENTS = ["--models", "recloop", "--seconds", "0.1", "--ablate"]


@pytest.fixture(autouse=True)
def small_language_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a small language model with random weights instead of MiniLM, which trains slowly."""
    base = str(small_base(tmp_path / "base"))
    monkeypatch.setattr("recloop.benchmark.training.resolve_base", lambda _name: base)


def ablation(folder: Path) -> dict:
    out = folder / "out.json"
    result = CliRunner().invoke(app, ["evaluate", str(folder), *ARGUMENTS, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text())["ablation"]


@pytest.mark.slow
def test_the_state_of_the_last_minutes_is_what_finds_the_next_item(tmp_path: Path) -> None:
    # All steps of a user lie within seven minutes, and the next item follows from the last one.
    measured = ablation(write(tmp_path, interactions()))
    assert set(measured["variants"]) == {
        "recloop",
        "state an hour old",
        "state a day old",
        "state at the last training",
        "no text",
        "words only",
        "frozen text",
        "tuned text",
    }
    whole = {
        (row["of"], row["from"]): row for row in measured["differences"] if row["slice"] == "all"
    }
    assert whole["recloop", "state an hour old"]["low"] > 0
    hour, day = (
        measured["variants"][f"state {age} old"]["ndcg@10"] for age in ("an hour", "a day")
    )
    assert hour == day  # Both know nothing of the user.
    assert {row["requests"] for row in whole.values()} == {30}
    # Every item is in the training data of several users, and every history has seven items.
    slices = {row["slice"] for row in measured["differences"]}
    assert slices == {"all", "items seen 5-19 times", "items seen 20 times and more", "history 1-9"}


@pytest.mark.slow
def test_without_times_and_texts_there_is_nothing_to_compare_with_but_no_text(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path, interactions().drop("timestamp"))
    items = pl.read_parquet(folder / "items.parquet").select("item_id")
    items.write_parquet(folder / "items.parquet")
    assert set(ablation(folder)["variants"]) == {"recloop", "no text"}


def test_an_ablation_of_the_click_through_protocol_is_refused(tmp_path: Path) -> None:
    command = ["evaluate", str(write(tmp_path, interactions())), "--protocol", "ctr", "--ablate"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "--ablate" in result.output
