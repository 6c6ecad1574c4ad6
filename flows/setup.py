"""Set-up of this clone: DVC's cache and remote in the home, and a `dvc.lock` of its own."""

from flows.shell import CHECKOUT
from flows.workspace import LOCK, configure_dvc, git
from recloop.settings import read_settings


def main() -> None:
    """Write local settings of DVC and git; no tracked file changes."""
    home = read_settings().home
    configure_dvc(CHECKOUT, home)
    git("update-index", "--skip-worktree", LOCK)


if __name__ == "__main__":
    main()
