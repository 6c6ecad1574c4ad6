"""Tests that the settings which the pages name exist."""

import re
from pathlib import Path

import pytest
import yaml

from recloop.config import BLOCKS, read_block
from recloop.data.snapshot import SnapshotConfig
from recloop.recommender.site_rules import SiteRules

DOCS = Path(__file__).resolve().parents[2] / "docs"
# The log tells of settings that had other names at the time, and the reference is generated.
PAGES = [page for page in DOCS.rglob("*.md") if page.name not in {"log.md", "configuration.md"}]
REFERENCE = (DOCS / "configuration.md").read_text(encoding="utf-8")
BLOCK_OF_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def existing() -> set[str]:
    """Return every setting of `params.yaml`, and every group of them, by its dotted name."""
    found = set()
    for name in re.findall(r"^\| `([a-z_0-9.\[\]]+)` \|", REFERENCE, re.MULTILINE):
        parts = name.replace("[]", "").split(".")
        found |= {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_settings_exist(page: Path) -> None:
    known = existing()
    text = page.read_text(encoding="utf-8")
    names = re.findall(rf"`((?:{'|'.join(sorted(BLOCKS))})\.[a-z_.]+)", text)
    unknown = {name for name in names if name.split(".", 1)[1] not in known and name not in known}
    assert unknown == set()


def test_the_example_of_a_source_is_valid(tmp_path: Path) -> None:
    (example,) = BLOCK_OF_YAML.findall((DOCS / "your-own-data.md").read_text(encoding="utf-8"))
    path = tmp_path / "params.yaml"
    path.write_text(example, encoding="utf-8")
    assert read_block("snapshot", SnapshotConfig, path).source.folder == "/data/shop"


def test_the_examples_of_site_rules_are_valid() -> None:
    examples = BLOCK_OF_YAML.findall((DOCS / "api.md").read_text(encoding="utf-8"))
    assert examples
    for example in examples:
        assert SiteRules.model_validate(yaml.safe_load(example)) != SiteRules()
