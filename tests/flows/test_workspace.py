"""Tests of what the loop writes into the user's checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.shell import CHECKOUT, child_environment

PUBLISH = """
import sys
from pathlib import Path
from flows.workspace import publish_lock
from recloop.config import Home
print(publish_lock(Path(sys.argv[1]), Home(Path(sys.argv[2]))))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git repository with the flows and an empty `dvc.lock`, as a user clones it."""
    folder = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "flows", folder / "flows")
    folder.joinpath("dvc.lock").write_text("schema: '2.0'\n")
    for command in ("init --quiet", "add --all", "commit --quiet --message start"):
        git(folder, *command.split())
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=child_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def publish(checkout: Path, lock: Path) -> str:
    """Publish a lock into the checkout, in a process that imports the checkout's own flows."""
    sources = os.pathsep.join([str(checkout), str(CHECKOUT / "src")])
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(lock), str(checkout.parent / "home")],
        cwd=checkout,
        env=child_environment({"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_a_lock_of_the_users_own_pipeline_is_kept(checkout: Path, tmp_path: Path) -> None:
    """After the user's own `dvc repro`, a promoted run does not overwrite the lock."""
    own = "schema: '2.0'\nstages: {train: {cmd: by the user}}\n"
    git(checkout, "tag", "recloop/v1")
    checkout.joinpath("dvc.lock").write_text(own)
    promoted = tmp_path / "promoted.lock"
    promoted.write_text("schema: '2.0'\nstages: {train: {cmd: by the loop}}\n")
    assert publish(checkout, promoted) == "False"
    assert checkout.joinpath("dvc.lock").read_text() == own
    assert git(checkout, "status", "--porcelain") == " M dvc.lock\n"
    assert not (checkout / ".dvc").exists()
