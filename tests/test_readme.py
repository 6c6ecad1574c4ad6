"""The README says what was measured and names what there is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path("README.md").read_text(encoding="utf-8")
RESULTS = Path("benchmarks/results")
RUNS = json.loads(RESULTS.joinpath("offline.json").read_text(encoding="utf-8"))["runs"]
EVALUATED = sorted(RESULTS.glob("evaluate-*-seed1.json"))


def interval(found: dict[str, float]) -> str:
    return f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def intervals(document: object) -> Iterator[str]:
    """Every interval that is anywhere in a result."""
    if isinstance(document, dict) and {"value", "low", "high"} <= document.keys():
        yield interval(document)
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from intervals(part)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["protocol"])
def test_every_figure_comes_from_the_results(run) -> None:
    for name, metrics in run["models"].items():
        assert interval(metrics["ndcg@10"]) in README, name
    assert f"{run['requests']:,}" in README


@pytest.mark.parametrize("path", EVALUATED, ids=lambda path: path.stem)
def test_ours_and_the_best_baseline_of_every_data_set_are_told(path: Path) -> None:
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    ours = models.pop("recloop")["ndcg@10"]
    best = max((found["ndcg@10"] for found in models.values()), key=lambda found: found["value"])
    assert interval(ours) in README
    assert interval(best) in README


def test_no_figure_is_there_that_was_not_measured() -> None:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")]
    measured = set(intervals(documents))
    claimed = set(re.findall(r"\d\.\d{4} \[-?\d\.\d{4}, \d\.\d{4}\]", README))
    assert claimed
    assert claimed <= measured


def test_every_latency_comes_from_the_results() -> None:
    served = json.loads(RESULTS.joinpath("serving.json").read_text(encoding="utf-8"))
    steps, peak = served["steps"], served["steps"]["peak"]
    held = next(tried for tried in peak["tried"] if tried["rate"] == peak["held"])
    told = [steps["known"], steps["queries"], steps["mixed"], held, served["ranked"]["calm"]]
    rows = [f"| {each['rate']:g} | {each['p50_ms']} | {each['p99_ms']} |" for each in told]
    table = README.split("`make bench-serving`")[1].split("\n\n")[0]
    assert [row for row in rows if row not in table] == []
    assert sum(each["errors"] for each in [*told, *peak["tried"]]) == 0
    last = peak["tried"][-1]
    assert f"{last['rate']:g}/s was too much (p99 {last['p99_ms']} ms)" in README
    assert f"{max(each['rss'] for each in served['memory_mb'])} MB" in README
    assert f"{served['seconds_until_ready']:.1f} s" in README
    for peer in served["peers"].values():
        assert f"{peer['ratios']['p50_ms']} times" in README
    assert f"{served['peers']['implicit-als']['peak']['held']}/s held" in README
    assert served["peers"]["rectools-sasrec"]["peak"]["held"] == 0


def test_the_commands_and_files_that_it_names_exist() -> None:
    targets = re.findall(r"^([a-z]+):", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= set(targets)
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert Path(link).exists(), link
