"""Tests of the public names of the package, and of what importing them needs."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import recloop


def test_public_names_are_sorted_importable_and_documented() -> None:
    assert recloop.__all__ == sorted(recloop.__all__)
    assert dir(recloop) == recloop.__all__
    for name in recloop.__all__:
        value = getattr(recloop, name)
        if name != "__version__":
            assert inspect.getdoc(value), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'recloop' has no attribute 'Recomender'"):
        recloop.Recomender  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, recloop; print([m for m in sys.modules if m.startswith('recloop.')])"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


def test_the_client_needs_httpx_and_pydantic_only(tmp_path: Path) -> None:
    tools = Path(sys.executable).parent
    environment = tmp_path / "venv"
    subprocess.run([tools / "uv", "venv", "--quiet", environment], check=True)
    python = environment / "bin" / "python"
    install: list[str | Path] = [tools / "uv", "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "httpx", "pydantic"], check=True)
    code = "from recloop import Client, EventIn, Filters, RecommendRequest; print(Client.__name__)"
    printed = subprocess.run(
        [python, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path("src").resolve())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.stdout.strip() == "Client", printed.stderr
