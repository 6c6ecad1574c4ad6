"""Manifest of a packaged model: its format, its lineage and a checksum of every file."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from recloop.data.pseudonyms import PLAIN_IDS

MANIFEST = "manifest.json"
PAYLOAD = "model"
REFERENCE = "reference"
CHECKPOINT = "checkpoint"


# Format of the packages that this version writes, and the oldest that it reads. A change of the
# names in `model.json` or of the files needs a new number. 1: packages without a number. 2 and 3:
# other names of the channels, of the settings in `model.json` and of the tensors. 4: the words
# channel and the transform of the blend.
FORMAT, OLDEST_FORMAT = 4, 3


class CorruptModelError(RuntimeError):
    """A packaged model is incomplete, or a file differs from its checksum in the manifest."""


class ModelFormatError(RuntimeError):
    """A packaged model has another format than this version of recloop reads."""


class Lineage(BaseModel):
    """Origin of a model.

    Attributes:
        git_commit: Commit of the run that trained it.
        git_ref: Tag of that commit.
        data_version: DVC's checksum of the snapshot.
        model_hash: DVC's checksum of the model's files.
        validation: Result of the checks of the snapshot.
        metrics: Metrics of the model and of the baselines.
        params: Content of `params.yaml`.
        parent: Version whose training it continued.
        naming: User id scheme of its data (see `recloop.data.pseudonyms`).
    """

    git_commit: str
    git_ref: str
    data_version: str
    model_hash: str
    validation: dict[str, Any]
    metrics: dict[str, Any]
    params: dict[str, Any]
    parent: str | None = None
    naming: str = PLAIN_IDS


class Manifest(BaseModel):
    """Description of a packaged model, written after every other file.

    A folder without a manifest is not a model.

    Attributes:
        version: Version in the registry.
        created: When the manifest was written.
        lineage: Origin of the model.
        sha256: SHA-256 of every file, by its path.
        format: Format of the package (see `FORMAT`).
    """

    version: str
    created: datetime
    lineage: Lineage
    sha256: dict[str, str]
    format: int = 1


def seal(folder: Path, version: str, lineage: Lineage) -> Manifest:
    """Compute the checksum of every file below `folder` and write the manifest atomically."""
    manifest = Manifest(
        version=version,
        created=datetime.now(UTC),
        lineage=lineage,
        sha256=_checksums(folder),
        format=FORMAT,
    )
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(manifest.model_dump_json(indent=2))
    partial.replace(folder / MANIFEST)
    return manifest


def verify(folder: Path) -> Manifest:
    """Read the manifest and compare every file with it.

    Raises:
        CorruptModelError: There is no manifest, or a file is missing, added or changed.
        ModelFormatError: The package has a format that this version does not read.
    """
    try:
        document = json.loads(folder.joinpath(MANIFEST).read_bytes())
        check_format(folder.name, document)
        manifest = Manifest.model_validate(document)
    except (OSError, ValueError) as error:
        raise CorruptModelError(f"{folder.name}: no readable manifest") from error
    found = _checksums(folder)
    wrong = sorted(
        name
        for name in manifest.sha256.keys() | found.keys()
        if manifest.sha256.get(name) != found.get(name)
    )
    if wrong:
        raise CorruptModelError(
            f"{folder.name}: files differ from the manifest: {', '.join(wrong)}"
        )
    return manifest


def check_format(name: str, document: object) -> None:
    """Check the format number of a manifest or of a `model.json`.

    Args:
        name: Name of the package, for the message.
        document: Content of the JSON file. Packages of format 1 have no number.

    Raises:
        ModelFormatError: This version does not read the format.
    """
    found = document.get("format", 1) if isinstance(document, dict) else None
    if not isinstance(found, int) or OLDEST_FORMAT <= found <= FORMAT:
        return  # what is not a number is refused when the document is validated
    newer = found > FORMAT
    remedy = "update recloop, or run" if newer else "run"
    raise ModelFormatError(
        f"{name} has model format {found}, and this version of recloop reads format {FORMAT}:"
        f" {remedy} a retrain, which trains a model from scratch"
    )


def _checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] in {PAYLOAD, REFERENCE, CHECKPOINT}
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
