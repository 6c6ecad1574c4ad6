"""API keys, of which only hashes are stored. A key is shown once, when it is created.

A key consists of its id and 32 random bytes. A plain SHA-256 is enough to store it, since the hash
is as hard to invert as the key is to guess. The callers pass the time.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from recloop.store import tables
from recloop.store.database import connect
from recloop.store.schema_version import ensure_current
from recloop.store.scopes import Scope

_PREFIX = "recloop"
_keys = tables.keys


class UnknownKeyError(LookupError):
    """No key has this id."""


@dataclass(frozen=True)
class ApiKey:
    """Stored data of a key.

    Attributes:
        id: Id, which is a part of the key.
        name: Name that tells people what the key is for.
        scopes: Operations that the key allows.
        digest: SHA-256 of the key, in hexadecimal digits.
        created: Time of creation.
        expires: Time from which the key is not valid. None: it does not expire.
        revoked: Time of revocation. None: the key is not revoked.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def matches(self, token: str) -> bool:
        """Return whether a token is this key. The comparison takes constant time."""
        return hmac.compare_digest(self.digest, _digest(token))

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyStore:
    """Storage of API keys.

    Safe for threads, and for several processes on one database.

    Args:
        url: URL of the database. Its table is created, or upgraded if it is older.

    Raises:
        StoreSchemaError: A newer version has upgraded the store, or its table is not recloop's.
    """

    def __init__(self, url: str) -> None:
        # Queries are rare, so that no connection is kept open and nothing needs to be closed.
        self._engine = connect(url, pooled=False)
        ensure_current(self._engine, "keys")

    @classmethod
    def at(cls, where: Path | str) -> "KeyStore":
        """Return the store in a SQLite file, which is created if it does not exist, or at a URL."""
        if isinstance(where, str):
            return cls(where)
        where.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{where}")

    def create(
        self, name: str, scopes: Iterable[Scope], now: datetime, expires: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Create and store a key.

        Returns:
            The stored data of the key, and the key itself, which cannot be read again later.

        Raises:
            ValueError: There is no scope, or the key expires before it is created.
        """
        chosen = frozenset(scopes)
        if not chosen:
            raise ValueError("a key needs at least one scope")
        if expires is not None and expires <= now:
            raise ValueError("the key expires before it is created")
        key_id = secrets.token_hex(6)
        token = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(key_id, name, chosen, _digest(token), now, expires)
        row = {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "digest": key.digest,
            "created": now.timestamp(),
            "expires": expires and expires.timestamp(),
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_keys).values(row))
        return key, token

    def read(self) -> list[ApiKey]:
        """Return all keys, including revoked and expired ones, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_keys).order_by(_keys.c.created, _keys.c.id))
            return [
                ApiKey(
                    id=row.id,
                    name=row.name,
                    scopes=frozenset(map(Scope, row.scopes)),
                    digest=row.digest,
                    created=datetime.fromtimestamp(row.created, UTC),
                    expires=_moment(row.expires),
                    revoked=_moment(row.revoked),
                )
                for row in rows
            ]

    def revoke(self, key_id: str, now: datetime) -> None:
        """Revoke a key. A key that is revoked already keeps its time of revocation.

        Raises:
            UnknownKeyError: No key has this id.
        """
        until = sa.func.coalesce(_keys.c.revoked, now.timestamp())
        statement = sa.update(_keys).where(_keys.c.id == key_id).values(revoked=until)
        with self._engine.begin() as connection:
            if not connection.execute(statement).rowcount:
                raise UnknownKeyError(f"there is no key {key_id}; `recloop keys list` shows them")


def key_id_of(token: str) -> str:
    """Return the key id in a token, an empty string if the token is not a key."""
    parts = token.split("_", 2)
    return parts[1] if len(parts) == len(("prefix", "id", "secret")) and parts[0] == _PREFIX else ""


def _digest(token: str) -> str:
    # A text that is no valid Unicode is a wrong token, not an error.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
