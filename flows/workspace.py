"""Clone of the checkout in which the loop trains, so that the user's checkout does not change.

Each run is a commit on top of the checkout (with edits that are not committed) and contains the
`dvc.lock` that restores its data and models. A tag in the checkout points to the commit.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.shell import CHECKOUT, run
from recloop.config import Home

LOCK = "dvc.lock"
TAG_PREFIX = "recloop/"


@dataclass(frozen=True)
class Workspace:
    """A clone of the checkout with DVC's cache and remote in the home."""

    folder: Path
    log: Path
    home: Home

    @classmethod
    def prepare(cls, home: Home, log: Path) -> "Workspace":
        """Clone the checkout as it is now; remove the workspace of an earlier run."""
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
        """Run git in the clone and return its output."""
        return git(*arguments, cwd=self.folder)

    def dvc(self, *arguments: str, **variables: str) -> str:
        """Run DVC in the clone, with the clone's source code; the output goes to the log."""
        extra = {"PYTHONPATH": str(self.folder / "src"), "RECLOOP_HOME": str(self.home.root)}
        return run(["dvc", *arguments], self.folder, self.log, extra | variables)

    def stage(self, name: str, *arguments: str) -> str:
        """Run a module of `recloop.stages` without DVC."""
        extra = {"PYTHONPATH": str(self.folder / "src"), "RECLOOP_HOME": str(self.home.root)}
        command = ["python", "-m", f"recloop.stages.{name}", *arguments]
        return run(command, self.folder, self.log, extra)

    def output_hash(self, stage: str, path: str) -> str:
        """Return DVC's hash of a stage's output from `dvc.lock`."""
        lock = yaml.safe_load(self.folder.joinpath(LOCK).read_text(encoding="utf-8"))
        outputs = {out["path"]: out["md5"] for out in lock["stages"][stage]["outs"]}
        return str(outputs[path])

    def commit(self, message: str) -> str:
        """Commit the run, push its data to the remote, and return the commit."""
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

    def tag_version(self, version: str) -> str:
        """Tag the run's commit in the user's checkout and return the tag. A tag never moves."""
        tag = f"{TAG_PREFIX}{version}"
        self.git("push", "--quiet", "origin", f"HEAD:refs/tags/{tag}")
        return tag


def git(*arguments: str, cwd: Path = CHECKOUT) -> str:
    """Run git and return its standard output, stripped."""
    return run(["git", *arguments], cwd).strip()


def configure_dvc(folder: Path, home: Home) -> None:
    """Set the home's cache and remote in the local, untracked settings of a clone's DVC."""
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


def tagged_versions() -> list[str]:
    """Return the versions that have a tag in the checkout."""
    return [tag.removeprefix(TAG_PREFIX) for tag in git("tag", "--list", f"{TAG_PREFIX}v*").split()]


def publish_lock(lock: Path, home: Home) -> bool:
    """Copy the `dvc.lock` of a promoted run into the checkout, and check out its data and metrics.

    `dvc.lock` belongs to this machine: git tracks an empty one and ignores changes to it here.

    Returns:
        False if the lock in the checkout is from the user's own `dvc repro`; it is kept.
    """
    mine = CHECKOUT / LOCK
    published = ["HEAD", *(f"{TAG_PREFIX}{version}" for version in tagged_versions())]
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
    """Return the whole `params.yaml`, for a model's lineage."""
    params: dict[str, object] = yaml.safe_load(folder.joinpath("params.yaml").read_text("utf-8"))
    return params


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder into another; existing files are overwritten."""
    shutil.copytree(source, target, dirs_exist_ok=True)
