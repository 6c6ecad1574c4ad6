"""Prepares this clone once: DVC's cache and remote in the home, and a `dvc.lock` of its own."""

from flows.shell import CHECKOUT
from flows.workspace import LOCK, configure_dvc, git
from recloop.config import Home


def main() -> None:
    """Local settings only; nothing that git tracks changes."""
    home = Home.from_environment()
    configure_dvc(CHECKOUT, home)
    git("update-index", "--skip-worktree", LOCK)


if __name__ == "__main__":
    main()
