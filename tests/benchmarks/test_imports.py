"""Tests of what the benchmarks import."""

import ast
from pathlib import Path

import pytest

BENCHMARKS = Path("benchmarks")
# Modules that run in the environments of the peers, where recloop and its packages are missing.
IN_PEER_ENVIRONMENTS = [
    *BENCHMARKS.glob("peers/*_peer.py"),
    *BENCHMARKS.glob("peers/*_metrics.py"),
    BENCHMARKS / "peers" / "common.py",
    BENCHMARKS / "serving" / "peer_service.py",
]
PACKAGES = [BENCHMARKS / "__init__.py", *BENCHMARKS.glob("*/__init__.py")]


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def ours(names: set[str]) -> set[str]:
    """Return those of the modules that belong to this repository."""
    roots = {"benchmarks", "flows", "monitoring", "recloop", "tests"}
    return {name for name in names if name.partition(".")[0] in roots}


@pytest.mark.parametrize("path", IN_PEER_ENVIRONMENTS, ids=str)
def test_modules_in_the_environments_of_peers_import_only_each_other(path) -> None:
    assert ours(imported(path)) <= {"benchmarks.peers.common"}


@pytest.mark.parametrize("path", PACKAGES, ids=str)
def test_packages_import_nothing(path) -> None:
    assert imported(path) == set()


@pytest.mark.parametrize("path", sorted(BENCHMARKS.rglob("*.py")), ids=str)
def test_benchmarks_import_only_the_support_code_of_the_tests(path) -> None:
    of_tests = {name for name in imported(path) if name.partition(".")[0] == "tests"}
    assert all(name.startswith("tests.support") for name in of_tests)
