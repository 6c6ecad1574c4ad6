"""Tests of the folders under src/recloop: how many modules they hold, and the names of these."""

from collections import Counter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "recloop"
LARGEST_FOLDER = 16


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if path.name != "__init__.py"]


def test_no_folder_has_too_many_modules() -> None:
    sizes = Counter(path.parent.relative_to(PACKAGE) for path in modules(PACKAGE))
    assert {folder: size for folder, size in sizes.items() if size > LARGEST_FOLDER} == {}


@pytest.mark.parametrize("folder", ["scoring", "training", "recommender", "serving", "evaluation"])
def test_no_file_name_occurs_twice(folder: str) -> None:
    names = Counter(path.name for path in modules(PACKAGE / folder))
    assert names
    assert [name for name, count in names.items() if count > 1] == []
