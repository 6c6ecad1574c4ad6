"""What a stage really imports, from the code itself."""

import ast
from pathlib import Path

import grimp

SOURCE = Path("src")


def modules_of(stage: str) -> set[str]:
    """Files of `recloop` that `recloop.stages.STAGE` imports, itself included; bare packages left out."""
    graph = grimp.build_graph("recloop")
    name = f"recloop.stages.{stage}"
    return {
        path.as_posix()
        for path in map(_file, graph.find_upstream_modules(name) | {name})
        if not _is_bare(path)
    }


def _file(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_bare(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and not any(
        isinstance(node, ast.Import | ast.ImportFrom) for node in body
    )
