"""Tests that pages claim measured figures only, and name commands and files that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path("README.md").read_text(encoding="utf-8")
PAGES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
MEASURED = Path("docs/measured.md").read_text(encoding="utf-8")
CLAIMS = README + MEASURED
RESULTS = Path("benchmarks/results")
RUNS = json.loads(RESULTS.joinpath("offline.json").read_text(encoding="utf-8"))["runs"]
ABLATED = sorted(RESULTS.glob("ablation-*-seed1.json"))
ABLATIONS = ("no text", "words only", "state an hour old")
EVALUATED = sorted(RESULTS.glob("evaluate-*-seed1.json"))


def interval(found: dict[str, float]) -> str:
    return f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def intervals(document: object) -> Iterator[str]:
    """Yield every interval that is anywhere in a result."""
    if isinstance(document, dict) and {"value", "low", "high"} <= document.keys():
        yield interval(document)
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from intervals(part)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["protocol"])
def test_every_figure_comes_from_the_results(run) -> None:
    for name, metrics in run["models"].items():
        assert interval(metrics["ndcg@10"]) in MEASURED, name
    assert f"{run['requests']:,}" in MEASURED


@pytest.mark.parametrize("path", EVALUATED, ids=lambda path: path.stem)
def test_recloop_and_the_best_baseline_of_every_data_set_are_in_the_readme(path: Path) -> None:
    """The last measurement of recloop has its own file: the baselines were not fitted again."""
    models = json.loads(path.read_text(encoding="utf-8"))["models"]
    del models["recloop"]
    last = RESULTS / path.name.replace("evaluate-", "one-pipeline-")
    ours = json.loads(last.read_text(encoding="utf-8"))["models"]["recloop"]["ndcg@10"]
    best = max((found["ndcg@10"] for found in models.values()), key=lambda found: found["value"])
    assert interval(ours) in README
    assert interval(best) in README


@pytest.mark.parametrize("path", ABLATED, ids=lambda path: path.stem)
def test_what_text_and_state_bring_is_in_the_readme(path: Path) -> None:
    differences = json.loads(path.read_text(encoding="utf-8"))["ablation"]["differences"]
    whole = {(row["of"], row["from"]): row for row in differences if row["slice"] == "all"}
    shown = [
        f"{row['value']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]".replace("0.", ".")
        for row in (whole["recloop", other] for other in ABLATIONS)
    ]
    assert f"| {' | '.join(shown)} |" in README


def test_no_figure_is_there_that_was_not_measured() -> None:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")]
    measured = set(intervals(documents))
    claimed = set(re.findall(r"\d\.\d{4} \[-?\d\.\d{4}, \d\.\d{4}\]", CLAIMS))
    assert claimed
    assert claimed <= measured


def test_every_latency_comes_from_the_results() -> None:
    served = json.loads(RESULTS.joinpath("serving.json").read_text(encoding="utf-8"))
    steps, peak = served["steps"], served["steps"]["peak"]
    held = next(tried for tried in peak["tried"] if tried["rate"] == peak["held"])
    measured = [steps["known"], steps["queries"], steps["mixed"], held, served["ranked"]["calm"]]
    rows = [f"| {each['rate']:g} | {each['p50_ms']} | {each['p99_ms']} |" for each in measured]
    table = MEASURED.split("| `make bench-serving` |")[1].split("\n\n")[0]
    assert [row for row in rows if row not in table] == []
    assert sum(each["errors"] for each in [*measured, *peak["tried"]]) == 0
    last = peak["tried"][-1]
    assert f"{last['rate']:g}/s was too much (p99 {last['p99_ms']} ms)" in MEASURED
    assert f"{max(each['rss'] for each in served['memory_mb'])} MB" in MEASURED
    assert f"{served['seconds_until_ready']:.1f} s" in MEASURED
    for peer in served["peers"].values():
        assert f"{peer['ratios']['p50_ms']} times" in MEASURED
    assert f"{served['peers']['implicit-als']['peak']['held']}/s held" in MEASURED
    assert served["peers"]["rectools-sasrec"]["peak"]["held"] == 0


def test_the_readme_gives_the_99th_percentile_of_the_highest_rate() -> None:
    peak = json.loads(RESULTS.joinpath("serving.json").read_text(encoding="utf-8"))["steps"]["peak"]
    held = next(tried for tried in peak["tried"] if tried["rate"] == peak["held"])
    sentence = (
        f"served {held['rate']:g} requests a second with a 99th percentile of {held['p99_ms']} ms"
    )
    assert sentence in " ".join(README.split())


def test_the_readme_is_one_page() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_commands_and_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(targets)
    for link in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", text):
        assert page.parent.joinpath(link).exists(), link
