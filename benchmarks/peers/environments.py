"""Python environments of the peers, separate because their requirements conflict with ours."""

import subprocess
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def environment(name: str, folder: Path) -> Path:
    """Return the Python of a peer's environment; create it from its requirements if needed."""
    requirements = HERE / f"requirements-{name}.txt"
    required = requirements.read_text(encoding="utf-8")
    target = folder.resolve() / name
    python, ready = target / "bin" / "python", target / "ready.txt"
    if ready.exists() and ready.read_text(encoding="utf-8") == required:
        return python
    venv.create(target, clear=True, with_pip=True)
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    # torch is installed first and alone, so that pip takes the CPU build if there is one.
    for torch in (line for line in required.splitlines() if line.startswith("torch==")):
        subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "--requirement", requirements], check=True)
    ready.write_text(required, encoding="utf-8")
    return python
