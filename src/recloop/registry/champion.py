"""The champion pointer: one small file, replaced atomically, that says which version serves."""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel


class Champion(BaseModel, frozen=True):
    """Which version serves, since when, why, and which one it followed."""

    version: str
    promoted: datetime
    previous: str | None
    reasons: tuple[str, ...]


def read_champion(path: Path) -> Champion | None:
    """The current champion, None where nothing was ever promoted. Raises ValueError on a broken file."""
    try:
        return Champion.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def write_champion(path: Path, version: str, reasons: list[str]) -> Champion:
    """Point to `version`. Readers see the old pointer or the new one, never a part of either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
    """What served before; promoting the champion again changes nothing, a broken pointer is mended."""
    try:
        before = read_champion(path)
    except ValueError:
        return None
    if before is None:
        return None
    return before.previous if before.version == version else before.version
