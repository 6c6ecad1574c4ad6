"""Upgrade of a store with Alembic. Only `schema_version` imports this module, when it needs it."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from recloop import __version__
from recloop.logs import get_log
from recloop.store.database import begin_exclusive
from recloop.store.schema_version import HEADS, Branch, StoreSchemaError

log = get_log("store")


def upgrade(engine: sa.Engine, branch: Branch) -> None:
    """Run the missing revisions of a branch in one transaction, after those of other processes.

    A store from before the first revision has tables and no revision; the first revision adopts
    its tables.

    Raises:
        StoreSchemaError: A newer version has upgraded the store, or its tables are not recloop's.
    """
    config = migrations_config()
    with engine.begin() as connection:
        begin_exclusive(connection)
        existed = sa.inspect(connection).has_table(branch)
        before = set(MigrationContext.configure(connection).get_current_heads())
        if unknown := before - known_revisions(config):
            raise StoreSchemaError(_newer_message(unknown))
        config.attributes["connection"] = connection
        command.upgrade(config, f"{branch}@head")
    if existed and HEADS[branch] not in before:
        log.info("store upgraded", tables=branch, revision=HEADS[branch])


def migrations_config() -> Config:
    """Return Alembic's configuration of these migrations."""
    config = Config()
    config.set_main_option("script_location", "recloop.store:migrations")
    return config


def known_revisions(config: Config) -> set[str]:
    """Return every revision of every branch."""
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _newer_message(unknown: set[str]) -> str:
    return (
        f"a newer version of recloop has upgraded this store: version {__version__} does not know"
        f" its revision {', '.join(sorted(unknown))}; install the newer version, or restore the"
        " backup from before the upgrade"
    )
