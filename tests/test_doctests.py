"""Tests that the examples in docstrings run and print what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in SOURCE.rglob("*.py")
    if "\n    >>> " in path.read_text()
)


def test_the_most_used_classes_have_examples() -> None:
    assert {
        "recloop.scoring.blend",
        "recloop.scoring.candidate_set",
        "recloop.scoring.channels.item_item",
        "recloop.scoring.top_k",
    } <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
