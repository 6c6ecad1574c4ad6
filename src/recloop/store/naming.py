"""How a store names its users: said by the first who opens it as a door, and kept to by all later ones."""

import sqlalchemy as sa

from recloop import columns as c
from recloop.config import ConfigError
from recloop.data.pseudonyms import KEY, KEY_FILE, PLAIN, Pseudonyms
from recloop.store import tables
from recloop.store.connect import forget, insert, lock
from recloop.store.events import EventStore

_HELD = sa.select(tables.naming.c.naming)
_BY_USER = (tables.events, tables.served)


class NamingError(RuntimeError):
    """The store names its users in another way than the key, or the lack of one, says."""


def open_door(store: EventStore) -> Pseudonyms:
    """How the environment says that users are named, once that is how this store does.

    Raises:
        ConfigError: the key does not fit.
        NamingError: the store is not under this key.
    """
    pseudonyms = Pseudonyms.from_environment()
    claim(store, pseudonyms)
    return pseudonyms


def claim(store: EventStore, pseudonyms: Pseudonyms) -> None:
    """Let a new store name users in this way, and compare with how one does that is not new.

    Raises:
        NamingError: it names them in another way.
    """
    with store.engine.begin() as connection:
        if (held := _held(connection)) is None:
            first = insert(connection, tables.naming).values(only=1, naming=pseudonyms.naming)
            connection.execute(first.on_conflict_do_nothing())
            held = _held(connection)
    if held != pseudonyms.naming:
        raise NamingError(_explained(held, pseudonyms.naming))


def pseudonymise(store: EventStore, pseudonyms: Pseudonyms) -> int:
    """Replace every user id of a store by its pseudonym, all of them or none; erasures stay in force.

    Nothing else may write meanwhile. Returns how many users have events or lists.

    Raises:
        ConfigError: there is no key.
        NamingError: the store holds pseudonyms already.
    """
    if pseudonyms.key is None:
        raise ConfigError(f"there are no pseudonyms without a key in {KEY} or {KEY_FILE}")
    with store.engine.begin() as connection:
        row = insert(connection, tables.naming).values(only=1, naming=PLAIN)
        connection.execute(row.on_conflict_do_nothing())  # from here on nobody else writes
        lock(connection, *_BY_USER)
        if (held := _held(connection)) not in {None, PLAIN}:
            raise NamingError(f"this store holds pseudonyms already ({held})")
        users = {user for table in _BY_USER for user in _rename(connection, table, pseudonyms)}
        erased = connection.execute(sa.select(tables.erasures.c.who)).scalars().all()
        renamed = [{"old": who, "new": pseudonyms.hashed(who)} for who in erased]
        _update(connection, tables.erasures.c.who, renamed)
        connection.execute(sa.update(tables.naming).values(naming=pseudonyms.naming))
    forget(store.engine, *_BY_USER, tables.erasures)
    return len(users)


def _held(connection: sa.Connection) -> str | None:
    """What was said first; a store that is older than that and not empty holds ids."""
    said: str | None = connection.execute(_HELD).scalar()
    if said is not None:
        return said
    filled = (*_BY_USER, tables.erasures)
    any_row = sa.union_all(*(sa.select(sa.literal(1)).select_from(table) for table in filled))
    return None if connection.execute(any_row.limit(1)).first() is None else PLAIN


def _rename(connection: sa.Connection, table: sa.Table, pseudonyms: Pseudonyms) -> list[str]:
    user = table.c[c.USER]
    users = connection.execute(sa.select(user).where(user.is_not(None)).distinct()).scalars().all()
    _update(connection, user, [{"old": each, "new": pseudonyms.of(each)} for each in users])
    return list(users)


def _update(
    connection: sa.Connection, column: sa.Column[str], renamed: list[dict[str, str]]
) -> None:
    if renamed:
        statement = sa.update(column.table).where(column == sa.bindparam("old"))
        connection.execute(statement.values({column: sa.bindparam("new")}), renamed)


def _explained(held: str | None, wanted: str) -> str:
    if held == PLAIN:
        return (
            f"this store holds user ids as they are, and there is a key for pseudonyms ({KEY},"
            f" {KEY_FILE}): stop what uses it and call `recloop pseudonymise`, or take another RECLOOP_HOME"
        )
    if wanted == PLAIN:
        return (
            f"this store knows users by pseudonyms ({held}): set {KEY} or {KEY_FILE} to its key;"
            " without it nobody would be recognised"
        )
    return (
        f"this store knows users under another key ({held}) than {KEY} or {KEY_FILE} holds ({wanted}):"
        " set the one that it was filled with; under another nobody would be recognised"
    )
