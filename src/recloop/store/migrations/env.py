"""Environment in which Alembic runs the revisions.

Alembic executes this file under the name `env_py`. Imported as a module, it runs nothing.
"""

from alembic import context
from alembic.util import CommandError


def run() -> None:
    """Run the revisions that Alembic has chosen, in the transaction of the caller's connection.

    Raises:
        CommandError: Alembic's command line was used on a store.
    """
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise CommandError("recloop upgrades a store when it opens it; Alembic's commands do not")
    context.configure(connection=connection)
    context.run_migrations()


if __name__ == "env_py":
    run()
