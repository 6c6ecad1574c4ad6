"""Version of the tables of a store, which is compared each time that a store is opened.

Events and API keys are in two SQLite files or in one database. Each therefore has its own line of
revisions, a branch of `recloop.store.migrations`, and the table `alembic_version` holds the
revision of each branch. Alembic, which takes 0.3 s to import, is imported for new and older stores
only.
"""

from typing import Literal

import sqlalchemy as sa

from recloop.store.database import is_missing_table

Branch = Literal["events", "keys"]

# Newest revision of each branch; a test compares them with the files.
HEADS: dict[Branch, str] = {"events": "events_0002", "keys": "keys_0001"}
_REVISION = sa.column("version_num", sa.Text)
_SELECT_REVISIONS = sa.select(_REVISION).select_from(sa.table("alembic_version", _REVISION))


class StoreSchemaError(RuntimeError):
    """This version of recloop cannot use the tables of the store; the message names a remedy."""


def ensure_current(engine: sa.Engine, branch: Branch) -> None:
    """Create the tables of a branch or upgrade them, unless they are those of this version.

    Several processes may call this at the same time.

    Raises:
        StoreSchemaError: A newer version has upgraded the store, or its tables are not recloop's.
        sqlalchemy.exc.SQLAlchemyError: The database is not available, or a migration failed, which
            changes nothing.
    """
    stored = _read_revisions(engine)
    if HEADS[branch] in stored and stored <= set(HEADS.values()):
        return
    from recloop.store.migrations.upgrade import upgrade  # noqa: PLC0415 - imports Alembic

    upgrade(engine, branch)


def _read_revisions(engine: sa.Engine) -> set[str]:
    """Return the revisions of a store; none if it is new or older than its first revision."""
    try:
        with engine.connect() as connection:
            return set(connection.execute(_SELECT_REVISIONS).scalars())
    except sa.exc.DBAPIError as error:
        if is_missing_table(error):
            return set()
        raise
