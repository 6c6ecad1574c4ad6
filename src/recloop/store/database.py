"""Connections to the database: SQLite in one file, or PostgreSQL for several machines.

Only this module knows the differences between the two. In both, a committed transaction is on disk.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

_WAIT_SECONDS = 30
# One connection for each thread of a worker, so that no thread waits for another's connection.
_CONNECTIONS, _KEPT = 48, 10
# Timeouts that report a server which is not available, instead of waiting for it.
_POSTGRES = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,
    "options": f"-c synchronous_commit=on -c lock_timeout={_WAIT_SECONDS}s",
}
_MIGRATING = 7_265_626  # id of the advisory lock for migrations; version 0.1.0 locks it too
_UNDEFINED_TABLE = "42P01"

Insert = postgresql.Insert | sqlite.Insert
Row = Mapping[str, object]


def connect(url: str, *, pooled: bool = True) -> sa.Engine:
    """Return an engine, which is safe for threads and for several processes on one database.

    Args:
        url: URL of a SQLite or PostgreSQL database.
        pooled: Whether connections are kept for later use, instead of being closed after each use.

    Raises:
        sqlalchemy.exc.ArgumentError: The URL is not valid.
    """
    plain = sa.make_url(url)
    pool: dict[str, Any] = {"poolclass": sa.pool.NullPool}
    if pooled:
        pool = {"pool_size": _KEPT, "max_overflow": _CONNECTIONS - _KEPT}
    if plain.get_backend_name() == "sqlite":
        arguments = {"timeout": _WAIT_SECONDS}
        engine = sa.create_engine(plain, connect_args=arguments, hide_parameters=True, **pool)
        sa.event.listen(engine, "connect", _configure)
        return engine
    plain = plain.set(drivername="postgresql+psycopg")
    pool |= {"pool_pre_ping": True, "hide_parameters": True}
    return sa.create_engine(plain, connect_args=_POSTGRES, **pool)


def is_remote(engine: sa.Engine) -> bool:
    """Return whether the database is a server, instead of a file."""
    return not _is_sqlite(engine)


def insert(connection: sa.Connection, table: sa.Table) -> Insert:
    """Return an INSERT statement that supports ON CONFLICT in the dialect of the connection."""
    return sqlite.insert(table) if _is_sqlite(connection) else postgresql.insert(table)


def insert_new(
    connection: sa.Connection, table: sa.Table, key: str, rows: Sequence[Row]
) -> list[str]:
    """Insert the rows whose key does not exist yet.

    Args:
        connection: Connection with an open transaction.
        table: Table with a unique column `key`.
        key: Name of the column.
        rows: Rows to insert.

    Returns:
        Keys of the inserted rows.
    """
    statement = insert(connection, table).on_conflict_do_nothing(index_elements=[key])
    new = statement.returning(table.c[key])
    return [
        each
        for some in _power_of_two_batches(rows)
        for each in connection.execute(new, some).scalars()
    ]


def begin_exclusive(connection: sa.Connection) -> None:
    """Begin a transaction that waits for every other one of this function on the database.

    This must be called before the first statement of the connection.
    """
    if _is_sqlite(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))


def is_missing_table(error: sa.exc.DBAPIError) -> bool:
    """Return whether a statement failed because a table does not exist."""
    if getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE:
        return True
    return str(error.orig).startswith("no such table")


def lock_tables(connection: sa.Connection, *tables: sa.Table) -> None:
    """Block writers of tables until this transaction ends, after those that are writing now.

    PostgreSQL assigns sequence numbers in another order than it commits them. A transaction that
    needs all rows below a number locks the tables first. SQLite allows one writer at a time anyway.
    Readers are not blocked.
    """
    if not _is_sqlite(connection):
        names = ", ".join(f'"{table.name}"' for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def begin_consistent_read(connection: sa.Connection) -> None:
    """Let all later statements of a connection read the state of one moment.

    This must be called before the first statement of the connection.
    """
    if _is_sqlite(connection):
        connection.exec_driver_sql("BEGIN")
    else:
        connection.execution_options(isolation_level="REPEATABLE READ")


def vacuum(engine: sa.Engine, *tables: sa.Table) -> None:
    """Remove the copies of deleted rows that the database keeps."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if _is_sqlite(connection):
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        else:
            connection.exec_driver_sql(f"VACUUM {', '.join(table.name for table in tables)}")


def _power_of_two_batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows in order, in batches whose sizes are powers of two.

    Each size needs a compiled statement, and every connection caches about a hundred of them. With
    batches of any size up to 1,000 events, 150 statements took 64 MB. With powers of two there are
    only ten.
    """
    while rows:
        size = 1 << len(rows).bit_length() - 1
        yield rows[:size]
        rows = rows[size:]


def _is_sqlite(database: sa.Connection | sa.Engine) -> bool:
    return database.dialect.name == "sqlite"


def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA secure_delete=ON")  # deleted rows are overwritten
    cursor.close()
