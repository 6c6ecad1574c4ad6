"""The champion pointer: one small file, replaced atomically, that says which version serves."""

import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel


class Champion(BaseModel):
    """Which version serves, since when, why, and which one it followed."""

    version: str
    promoted: datetime
    previous: str | None
    reasons: list[str]


def read_champion(path: Path) -> Champion | None:
    """The current champion, None where nothing was ever promoted. Raises ValueError on a broken file."""
    try:
        return Champion.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def write_champion(path: Path, version: str, reasons: list[str]) -> Champion:
    """Point to `version`. Readers see the old pointer or the new one, never a part of either."""
    before = read_champion(path)
    champion = Champion(
        version=version,
        promoted=datetime.now(UTC),
        previous=before.version if before else None,
        reasons=reasons,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(champion.model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return champion
