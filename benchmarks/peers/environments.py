"""The peers' own Python environments: their packages and ours never meet."""

import subprocess
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def environment(name: str, folder: Path) -> Path:
    """The Python of a peer's environment, made from its requirements unless it is there already."""
    requirements = HERE / f"requirements-{name}.txt"
    wanted = requirements.read_text(encoding="utf-8")
    target = folder.resolve() / name
    python, ready = target / "bin" / "python", target / "ready.txt"
    if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
        return python
    venv.create(target, clear=True, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # torch first and alone: so pip takes the CPU build where there is one.
    for torch in (line for line in wanted.splitlines() if line.startswith("torch==")):
        subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "--requirement", requirements], check=True)
    ready.write_text(wanted, encoding="utf-8")
    return python
