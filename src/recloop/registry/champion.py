"""Champion pointer: a small file, replaced atomically, with the model version that serves."""

import os
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel


class Champion(BaseModel, frozen=True):
    """The version that serves, when and why it was promoted, and the version before it."""

    version: str
    promoted: datetime
    previous: str | None
    reasons: tuple[str, ...]


def read_champion(path: Path) -> Champion | None:
    """Return the current champion, None if no version was ever promoted.

    Raises:
        ValueError: The file is broken.
    """
    try:
        return Champion.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def write_champion(path: Path, version: str, reasons: list[str]) -> Champion:
    """Point to `version` and return the new pointer.

    Readers see the old pointer or the new one, never a part of either. Writers wait for each other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        champion = Champion(
            version=version,
            promoted=datetime.now(UTC),
            previous=_previous(path, version),
            reasons=tuple(reasons),
        )
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(champion.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    return champion


def _previous(path: Path, version: str) -> str | None:
    """Return the version that served before `version`, None if none did or the pointer is broken.

    Promoting the champion again keeps its predecessor.
    """
    try:
        before = read_champion(path)
    except ValueError:
        return None
    if before is None:
        return None
    return before.previous if before.version == version else before.version
