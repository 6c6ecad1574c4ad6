"""The manifest: what a packaged model is, and a checksum of every file. Written last."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from recloop.data.pseudonyms import PLAIN

MANIFEST = "manifest.json"
PAYLOAD = "model"
REFERENCE = "reference"
CHECKPOINT = "checkpoint"


class CorruptModelError(RuntimeError):
    """A packaged model is incomplete, or a file is not what the manifest says."""


class Lineage(BaseModel):
    """Where a model comes from. `parent`: the version whose training it continued.

    `naming`: how its data name users (see `recloop.data.pseudonyms`).
    """

    git_commit: str
    git_ref: str
    data_version: str
    model_hash: str
    validation: dict[str, Any]
    metrics: dict[str, Any]
    params: dict[str, Any]
    parent: str | None = None
    naming: str = PLAIN


class Manifest(BaseModel):
    """Written after every other file, so that a folder without one is not a model."""

    version: str
    created: datetime
    lineage: Lineage
    sha256: dict[str, str]


def seal(folder: Path, version: str, lineage: Lineage) -> Manifest:
    """Checksum every file below `folder` and write the manifest, atomically."""
    manifest = Manifest(
        version=version, created=datetime.now(UTC), lineage=lineage, sha256=_checksums(folder)
    )
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(manifest.model_dump_json(indent=2))
    partial.replace(folder / MANIFEST)
    return manifest


def verify(folder: Path) -> Manifest:
    """Read the manifest and compare every file with it.

    Raises:
        CorruptModelError: no manifest, or a file is missing, added or changed.
    """
    try:
        manifest = Manifest.model_validate(json.loads(folder.joinpath(MANIFEST).read_bytes()))
    except (OSError, ValueError) as error:
        raise CorruptModelError(f"{folder.name}: no readable manifest") from error
    found = _checksums(folder)
    wrong = sorted(
        name
        for name in manifest.sha256.keys() | found.keys()
        if manifest.sha256.get(name) != found.get(name)
    )
    if wrong:
        raise CorruptModelError(f"{folder.name}: not as in the manifest: {', '.join(wrong)}")
    return manifest


def _checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] in {PAYLOAD, REFERENCE, CHECKPOINT}
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
