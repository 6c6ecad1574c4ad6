"""Make a home (RECLOOP_HOME) in which a packaged model is registered as v1 and promoted.

    python -m benchmarks.versions.make_home --checkout CHECKOUT --home home \
        --model artifacts/model --reference artifacts/reference

The script writes the files of the registry in their format on disk, without importing recloop, so
that it works with every version that reads this format. Then `recloop promote` of the checkout
compares every checksum and lets the model serve.

The model must have the format that the checkout reads: `convert_model.py` converts one of format 1.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.versions.serve_model import environment

_VERSION, _CONFIG = "v1", "model.json"


def make_home(checkout: Path, home: Path, model: Path, reference: Path) -> None:
    """Write the files of a home, and promote the model in it.

    Args:
        checkout: Repository with a `.venv`, whose `recloop promote` verifies the model.
        home: Folder to create.
        model: Output of the export stage, `artifacts/model`.
        reference: Output of the reference stage, `artifacts/reference`.

    Raises:
        FileExistsError: The home exists already.
        subprocess.CalledProcessError: The checkout does not accept the model.
    """
    folder = home / "bentoml" / "models" / "recloop" / _VERSION
    home.mkdir(parents=True)
    shutil.copytree(model, folder / "model")
    shutil.copytree(reference, folder / "reference")
    config = json.loads(folder.joinpath("model", _CONFIG).read_text(encoding="utf-8"))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "version": _VERSION,
        "format": config.get("format", 1),
        "created": datetime.now(UTC).isoformat(),
        "lineage": {
            **dict.fromkeys(("git_commit", "git_ref", "data_version", "model_hash"), ""),
            **{name: {} for name in ("validation", "metrics", "params")},
        },
        "sha256": {path.relative_to(folder).as_posix(): _sha256(path) for path in files},
    }
    folder.joinpath("manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    command = [str(checkout / ".venv" / "bin" / "recloop"), "promote", _VERSION]
    subprocess.run(command, check=True, cwd=checkout, env=environment(checkout, home))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Read the command line and make the home."""
    parser = argparse.ArgumentParser(description="Make a home with a promoted model.")
    for name in ("checkout", "home", "model", "reference"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    checkout, home = arguments.checkout.resolve(), arguments.home.resolve()
    make_home(checkout, home, arguments.model, arguments.reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())
