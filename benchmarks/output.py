"""Output of the benchmarks: JSON on standard output or in a file, progress on standard error."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any


def command_line() -> str:
    """Return the command that started this process."""
    return " ".join(["python", *sys.orig_argv[1:]])


def machine() -> dict[str, Any]:
    """Return the number of CPUs, the architecture and the version of Python."""
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def write_json(document: object, out: Path | None) -> None:
    """Print a document as JSON, and write it to `out` as well if that is given."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


def log(line: str) -> None:
    """Print a line on standard error."""
    print(line, file=sys.stderr, flush=True)
