"""The source files that each DVC stage depends on, read from the imports of the code.

`make dvc-deps` writes them into `dvc.yaml`; a test compares the file with the same function.
"""

import ast
from pathlib import Path
from typing import Any

import grimp
from ruamel.yaml import YAML

SOURCE = Path("src")
PIPELINE = Path("dvc.yaml")


def imported_files(stage: str) -> set[str]:
    """Return the files of `recloop` that `recloop.stages.STAGE` imports, itself included.

    An `__init__.py` without imports is left out, since it cannot change what a stage computes.
    """
    graph = grimp.build_graph("recloop", exclude_type_checking_imports=True)
    name = f"recloop.stages.{stage}"
    return {
        path.as_posix()
        for path in map(_file, graph.find_upstream_modules(name) | {name})
        if not _is_bare(path)
    }


def write_dependencies(pipeline: Path) -> None:
    """Replace the source files among each stage's dependencies; keep data, order and comments."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    document: dict[str, Any] = yaml.load(pipeline)
    for name, stage in document["stages"].items():
        dependencies = stage["deps"]
        data = [path for path in dependencies if not path.startswith(f"{SOURCE}/")]
        dependencies[:] = [*sorted(imported_files(name)), *data]
    yaml.dump(document, pipeline)


def _file(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_bare(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and not any(
        isinstance(node, ast.Import | ast.ImportFrom) for node in body
    )


if __name__ == "__main__":
    write_dependencies(PIPELINE)
