"""Connections to the database: SQLite in one file, or PostgreSQL for several machines.

What differs between the two is said here and nowhere else. On both an answer means: on disk.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

_WAIT_SECONDS = 30
# As many connections as a worker has threads that answer: none waits for another's.
_CONNECTIONS, _KEPT = 48, 10
# A server that is away must be told in time, not waited for.
_POSTGRES = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,
    "options": f"-c synchronous_commit=on -c lock_timeout={_WAIT_SECONDS}s",
}
_CREATING = 7_265_626  # the advisory lock of whoever creates tables: a number of our own

Insert = postgresql.Insert | sqlite.Insert
Row = Mapping[str, object]


def connect(url: str, *, pooled: bool = True) -> sa.Engine:
    """Connections, safe for threads and for several processes on one database.

    `pooled`: kept for the next statement; otherwise they live as long as their query.
    """
    plain = sa.make_url(url)
    pool: dict[str, Any] = {"poolclass": sa.pool.NullPool}
    if pooled:
        pool = {"pool_size": _KEPT, "max_overflow": _CONNECTIONS - _KEPT}
    if plain.get_backend_name() == "sqlite":
        told = {"timeout": _WAIT_SECONDS}
        engine = sa.create_engine(plain, connect_args=told, hide_parameters=True, **pool)
        sa.event.listen(engine, "connect", _configure)
        return engine
    plain = plain.set(drivername="postgresql+psycopg")
    pool |= {"pool_pre_ping": True, "hide_parameters": True}
    return sa.create_engine(plain, connect_args=_POSTGRES, **pool)


def is_remote(engine: sa.Engine) -> bool:
    """Whether a server answers, and not a file of this process."""
    return not _is_sqlite(engine)


def insert(connection: sa.Connection, table: sa.Table) -> Insert:
    """An INSERT that may say what happens where the row is there already."""
    return sqlite.insert(table) if _is_sqlite(connection) else postgresql.insert(table)


def insert_new(
    connection: sa.Connection, table: sa.Table, key: str, rows: Sequence[Row]
) -> list[str]:
    """Insert what is not there yet; returns the keys of that, a column of `table`."""
    statement = insert(connection, table).on_conflict_do_nothing(index_elements=[key])
    new = statement.returning(table.c[key])
    return [each for some in _halving(rows) for each in connection.execute(new, some).scalars()]


def create(engine: sa.Engine, *tables: sa.Table) -> None:
    """What is missing, also in a store that an older version made; several processes may ask at once."""
    with engine.begin() as connection:
        if not _is_sqlite(connection):
            # IF NOT EXISTS alone fails where two replicas start together.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATING)))
        for table in tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def lock(connection: sa.Connection, *tables: sa.Table) -> None:
    """Wait for whoever is writing to these, and let nobody write until this transaction ends.

    SQLite has one writer at a time anyway. PostgreSQL gives out sequence numbers in another order than
    it commits them; whoever needs the order of commits asks for this first. Readers wait for nobody.
    """
    if not _is_sqlite(connection):
        names = ", ".join(f'"{table.name}"' for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def read_as_one(connection: sa.Connection) -> None:
    """All that this connection reads from now on is of one moment. Before its first statement."""
    if _is_sqlite(connection):
        connection.exec_driver_sql("BEGIN")
    else:
        connection.execution_options(isolation_level="REPEATABLE READ")


def forget(engine: sa.Engine, *tables: sa.Table) -> None:
    """Clear the copies that the database keeps of deleted rows."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if _is_sqlite(connection):
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        else:
            connection.exec_driver_sql(f"VACUUM {', '.join(table.name for table in tables)}")


def _halving(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """All of them in order, in parts whose sizes are powers of two.

    Each size is a statement of its own, and every connection keeps its last hundred or so: those for
    150 sizes of up to 1,000 events took 64 MB, those for the powers of two take none to speak of.
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
    cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
    cursor.close()
