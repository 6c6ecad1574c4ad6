"""The wheel contains the migrations, which Alembic reads as files."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.unpacked import create_store_with

MIGRATIONS = Path("src/recloop/store/migrations")


def test_a_store_can_be_created_with_the_files_of_the_wheel(tmp_path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*build, "--directory", tmp_path], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if "/migrations/" in name}
        archive.extractall(tmp_path / "unpacked")
    files = [path for path in MIGRATIONS.rglob("*") if path.suffix in {".py", ".mako"}]
    assert packed == {path.relative_to("src").as_posix() for path in files}
    create_store_with(tmp_path / "unpacked")
