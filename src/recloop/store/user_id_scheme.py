"""User id scheme of a store: plain ids, or pseudonyms under one key.

The first process that opens the store for users sets the scheme. All later ones must use the same.
"""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from recloop import columns as c
from recloop.config import ConfigError
from recloop.data.pseudonyms import KEY, KEY_FILE, PLAIN_IDS, Pseudonyms
from recloop.store import tables
from recloop.store.database import insert, lock_tables, vacuum
from recloop.store.event_store import EventStore

if TYPE_CHECKING:
    from recloop.settings import Settings

_SELECT_SCHEME = sa.select(tables.naming.c.naming)
_BY_USER = (tables.events, tables.served)


class UserIdSchemeError(RuntimeError):
    """The store and the settings identify users in different ways."""


def load_pseudonyms(store: EventStore, settings: "Settings") -> Pseudonyms:
    """Return the pseudonyms of the settings, after checking that the store uses the same scheme.

    Raises:
        ConfigError: The key is not usable.
        UserIdSchemeError: The store is not under this key.
    """
    pseudonyms = Pseudonyms.of_settings(settings)
    check_user_id_scheme(store, pseudonyms)
    return pseudonyms


def check_user_id_scheme(store: EventStore, pseudonyms: Pseudonyms) -> None:
    """Set the user id scheme of a new store, or compare it with that of an existing one.

    Raises:
        UserIdSchemeError: The store has another scheme.
    """
    with store.engine.begin() as connection:
        if (stored := _stored_scheme(connection)) is None:
            first = insert(connection, tables.naming).values(only=1, naming=pseudonyms.scheme)
            connection.execute(first.on_conflict_do_nothing())
            stored = _stored_scheme(connection)
    if stored != pseudonyms.scheme:
        raise UserIdSchemeError(_mismatch_message(stored, pseudonyms.scheme))


def pseudonymise(store: EventStore, pseudonyms: Pseudonyms) -> int:
    """Replace every user id of a store by its pseudonym, in one transaction.

    Erasures stay in effect. Nothing else may write to the store meanwhile.

    Returns:
        Number of users with events or served lists.

    Raises:
        ConfigError: There is no key.
        UserIdSchemeError: The store has pseudonyms already.
    """
    if pseudonyms.key is None:
        raise ConfigError(f"there are no pseudonyms without a key in {KEY} or {KEY_FILE}")
    with store.engine.begin() as connection:
        row = insert(connection, tables.naming).values(only=1, naming=PLAIN_IDS)
        connection.execute(row.on_conflict_do_nothing())  # from here on, no other process writes
        lock_tables(connection, *_BY_USER)
        if (stored := _stored_scheme(connection)) not in {None, PLAIN_IDS}:
            raise UserIdSchemeError(f"this store holds pseudonyms already ({stored})")
        users = {user for table in _BY_USER for user in _rename(connection, table, pseudonyms)}
        erased = connection.execute(sa.select(tables.erasures.c.who)).scalars().all()
        renamed = [{"old": who, "new": pseudonyms.pseudonymise_digest(who)} for who in erased]
        _update(connection, tables.erasures.c.who, renamed)
        connection.execute(sa.update(tables.naming).values(naming=pseudonyms.scheme))
    vacuum(store.engine, *_BY_USER, tables.erasures)
    return len(users)


def _stored_scheme(connection: sa.Connection) -> str | None:
    """Return the scheme of a store, None if it is empty. Stores of old versions have plain ids."""
    scheme: str | None = connection.execute(_SELECT_SCHEME).scalar()
    if scheme is not None:
        return scheme
    filled = (*_BY_USER, tables.erasures)
    any_row = sa.union_all(*(sa.select(sa.literal(1)).select_from(table) for table in filled))
    return None if connection.execute(any_row.limit(1)).first() is None else PLAIN_IDS


def _rename(connection: sa.Connection, table: sa.Table, pseudonyms: Pseudonyms) -> list[str]:
    user = table.c[c.USER]
    users = connection.execute(sa.select(user).where(user.is_not(None)).distinct()).scalars().all()
    _update(
        connection, user, [{"old": each, "new": pseudonyms.pseudonymise(each)} for each in users]
    )
    return list(users)


def _update(
    connection: sa.Connection, column: sa.Column[str], renamed: list[dict[str, str]]
) -> None:
    if renamed:
        statement = sa.update(column.table).where(column == sa.bindparam("old"))
        connection.execute(statement.values({column: sa.bindparam("new")}), renamed)


def _mismatch_message(stored: str | None, wanted: str) -> str:
    if stored == PLAIN_IDS:
        return (
            f"this store holds user ids as they are, and there is a key for pseudonyms ({KEY},"
            f" {KEY_FILE}): stop what uses it and call `recloop pseudonymise`, or take another"
            " RECLOOP_HOME"
        )
    if wanted == PLAIN_IDS:
        return (
            f"this store knows users by pseudonyms ({stored}): set {KEY} or {KEY_FILE} to its key;"
            " without it, users would not be recognised"
        )
    return (
        f"this store knows users under another key ({stored}) than {KEY} or {KEY_FILE} holds"
        f" ({wanted}): set the key that the store was filled with; with another key, users would"
        " not be recognised"
    )
