"""The README says what was measured and names what there is."""

import json
import re
from pathlib import Path

import pytest

README = Path("README.md").read_text(encoding="utf-8")
RUNS = json.loads(Path("benchmarks/results/offline.json").read_text(encoding="utf-8"))["runs"]


def interval(found: dict[str, float]) -> str:
    return f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["protocol"])
def test_every_figure_comes_from_the_results(run) -> None:
    for name, metrics in run["models"].items():
        assert interval(metrics["ndcg@10"]) in README, name
    assert f"{run['requests']:,}" in README


def test_no_figure_is_there_that_was_not_measured() -> None:
    measured = {interval(m["ndcg@10"]) for run in RUNS for m in run["models"].values()}
    measured |= {interval(gap) for run in RUNS for gap in run["ahead_of"].values()}
    claimed = set(re.findall(r"\d\.\d{4} \[-?\d\.\d{4}, \d\.\d{4}\]", README))
    assert claimed
    assert claimed <= measured


def test_the_commands_and_files_that_it_names_exist() -> None:
    targets = re.findall(r"^([a-z]+):", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= set(targets)
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert Path(link).exists(), link
