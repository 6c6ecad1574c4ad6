"""The Bento contains the serving code, everything that it imports, and nothing that trains."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.unpacked import create_store_with

TRAINING_PACKAGES = {"torch", "transformers", "peft", "onnx", "onnxscript", "lightgbm", "gguf"}
_IMPORT_EVERYTHING = """
import importlib, pathlib, sys
for name in {blocked!r}:
    sys.modules[name] = None  # an import raises ModuleNotFoundError
for path in sorted(pathlib.Path("recloop").rglob("*.py")):
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(module)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `src` of a Bento that was built as the retrain flow builds it."""
    home = tmp_path_factory.mktemp("bentoml")
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bentoml", "build", "src", "-f", "bentofile.yaml", "--output", "tag"]
    subprocess.run(
        command, env={**os.environ, "PATH": tools, "BENTOML_HOME": str(home)}, check=True
    )
    (built,) = home.glob("bentos/recloop/*/src")
    return built


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_bento_contains_whole_folders_of_the_serving_code(source: Path) -> None:
    folders = {path.name for path in source.joinpath("recloop").iterdir() if path.is_dir()}
    shipped = {"data", "recommender", "registry", "schemas", "scoring", "serving", "store"}
    assert folders == shipped
    for folder in shipped:
        built = {path.name for path in source.joinpath("recloop", folder).rglob("*.py")}
        assert built == {path.name for path in Path("src/recloop", folder).rglob("*.py")}


def test_no_file_in_the_bento_imports_training_code(source: Path) -> None:
    files = list(source.rglob("*.py"))
    assert len(files) > 100
    found = {
        (path.name, name)
        for path in files
        for name in imports(path)
        if name.split(".")[0] in TRAINING_PACKAGES
    }
    assert found == set()


def test_every_module_in_the_bento_can_be_imported_without_training_packages(source: Path) -> None:
    code = _IMPORT_EVERYTHING.format(blocked=sorted(TRAINING_PACKAGES))
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=source,
        env={**kept, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_store_can_be_created_with_the_files_of_the_bento(source: Path) -> None:
    create_store_with(source)
