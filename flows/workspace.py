"""The clone in which the loop trains, so that the user's checkout stays as it is.

Each run is a commit on top of what the user has (edits that are not committed included), with the
`dvc.lock` that brings its data and models back; it returns to the checkout as a tag.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.shell import CHECKOUT, run
from recloop.config import Home

LOCK = "dvc.lock"
TAG = "recloop/"


@dataclass(frozen=True)
class Workspace:
    """A clone of the checkout with DVC's cache and remote in the home."""

    folder: Path
    log: Path
    home: Home

    @classmethod
    def prepare(cls, home: Home, log: Path) -> "Workspace":
        """A fresh clone of the checkout as it is now; what an earlier run left is removed."""
        shutil.rmtree(home.workspace, ignore_errors=True)
        home.workspace.parent.mkdir(parents=True, exist_ok=True)
        commit = git("rev-parse", "HEAD")
        edited = git("stash", "create") or commit
        run(["git", "clone", "--quiet", "--no-checkout", str(CHECKOUT), str(home.workspace)])
        workspace = cls(home.workspace, log, home)
        workspace.git("fetch", "--quiet", "origin", edited)
        workspace.git("checkout", "--quiet", "--detach", commit)
        workspace.git("read-tree", "-u", "--reset", edited)
        configure_dvc(workspace.folder, home)
        return workspace

    def git(self, *arguments: str) -> str:
        return git(*arguments, cwd=self.folder)

    def dvc(self, *arguments: str, **variables: str) -> str:
        """DVC in the clone, on the clone's own source code; what it says goes to the log."""
        extra = {"PYTHONPATH": str(self.folder / "src"), "RECLOOP_HOME": str(self.home.root)}
        return run(["dvc", *arguments], self.folder, self.log, extra | variables)

    def stage(self, name: str, *arguments: str) -> str:
        """One of our modules in `recloop.stages`, outside DVC."""
        extra = {"PYTHONPATH": str(self.folder / "src"), "RECLOOP_HOME": str(self.home.root)}
        command = ["python", "-m", f"recloop.stages.{name}", *arguments]
        return run(command, self.folder, self.log, extra)

    def output_hash(self, stage: str, path: str) -> str:
        """DVC's hash of a stage's output, as `dvc.lock` has it."""
        lock = yaml.safe_load(self.folder.joinpath(LOCK).read_text(encoding="utf-8"))
        outputs = {out["path"]: out["md5"] for out in lock["stages"][stage]["outs"]}
        return str(outputs[path])

    def commit(self, message: str) -> str:
        """Commit the run and push its data to the remote; returns the commit."""
        self.git("add", "--all")
        self.git(
            "commit",
            "--quiet",
            "--no-verify",
            "--no-gpg-sign",
            "--allow-empty",
            "--message",
            message,
        )
        self.dvc("push", "--quiet")
        return self.git("rev-parse", "HEAD")

    def publish(self, version: str) -> str:
        """Tag the run's commit in the user's checkout; returns the tag. A tag never moves."""
        tag = f"{TAG}{version}"
        self.git("push", "--quiet", "origin", f"HEAD:refs/tags/{tag}")
        return tag


def git(*arguments: str, cwd: Path = CHECKOUT) -> str:
    """Standard output of a git command, stripped."""
    return run(["git", *arguments], cwd).strip()


def configure_dvc(folder: Path, home: Home) -> None:
    """Point this clone's DVC to the home's cache and remote; only in its local, untracked settings."""
    for key, value in (
        ("cache.dir", str(home.cache)),
        ("cache.type", "reflink,hardlink,copy"),
        ("core.analytics", "false"),
        ("core.autostage", "false"),
    ):
        run(["dvc", "config", "--local", key, value], folder)
    run(
        ["dvc", "remote", "add", "--local", "--force", "--default", "home", str(home.remote)],
        folder,
    )


def published_versions() -> list[str]:
    """Versions that have a tag in the checkout."""
    return [tag.removeprefix(TAG) for tag in git("tag", "--list", f"{TAG}v*").split()]


def adopt_lock(lock: Path, home: Home) -> bool:
    """Let the checkout show a promoted run: its `dvc.lock`, data and metrics.

    `dvc.lock` is machine state: git holds an empty one and is told to leave this copy alone. A lock
    that the user's own `dvc repro` wrote is not overwritten; returns whether it was adopted.
    """
    mine = CHECKOUT / LOCK
    published = ["HEAD", *(f"{TAG}{version}" for version in published_versions())]
    ours = {git("show", f"{reference}:{LOCK}") for reference in published}
    if mine.exists() and mine.read_text(encoding="utf-8").strip() not in ours:
        return False
    configure_dvc(CHECKOUT, home)
    git("update-index", "--skip-worktree", LOCK)
    partial = mine.with_name(".dvc.lock.partial")
    shutil.copy(lock, partial)
    partial.replace(mine)
    run(["dvc", "checkout", "--quiet", "--force"], CHECKOUT)
    return True


def read_params(folder: Path) -> dict[str, object]:
    """All of `params.yaml`, for a model's lineage."""
    params: dict[str, object] = yaml.safe_load(folder.joinpath("params.yaml").read_text("utf-8"))
    return params


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder over another."""
    shutil.copytree(source, target, dirs_exist_ok=True)
