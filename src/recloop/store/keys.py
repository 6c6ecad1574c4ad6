"""API keys: who may call what. Only hashes are kept; a key is seen once, when it is made.

A key is 32 random bytes behind its id, so that a plain SHA-256 of it is as hard to turn round as the
key is to guess. This module is told the time and knows no HTTP.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from recloop.store.connect import connect, create

_PREFIX = "recloop"
_metadata = sa.MetaData()
_keys = sa.Table(
    "keys",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float),
    sa.Column("revoked", sa.Float),
)


class Scope(StrEnum):
    """What a key may do; none of them contains another."""

    RECOMMEND = "recommend"
    INGEST = "ingest"
    CATALOGUE = "catalogue"
    ADMIN = "admin"


class UnknownKeyError(LookupError):
    """No key has this id."""


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key: everything but the key itself."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def opens_with(self, token: str) -> bool:
        """Whether this is the key, compared in constant time."""
        return hmac.compare_digest(self.digest, _digest(token))

    def is_valid(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyStore:
    """Safe for threads, and for several processes on one database."""

    def __init__(self, url: str) -> None:
        # There is a query once in a while, and nothing to close.
        self._engine = connect(url, pooled=False)
        create(self._engine, _keys)

    @classmethod
    def at(cls, where: Path | str) -> "KeyStore":
        """The store in this SQLite file, created where there is none, or at this URL."""
        if isinstance(where, str):
            return cls(where)
        where.parent.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{where}")

    def create(
        self, name: str, scopes: Iterable[Scope], now: datetime, expires: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """A new key: what is kept of it, and the token, which nobody can look up later.

        Raises:
            ValueError: no scope, or expired before it begins.
        """
        chosen = frozenset(scopes)
        if not chosen:
            raise ValueError("a key needs a scope at least")
        if expires is not None and expires <= now:
            raise ValueError("a key cannot expire before it is made")
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
        """All keys, oldest first, the revoked and expired ones too."""
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
        """End a key for good; a second time changes nothing. Raises UnknownKeyError."""
        until = sa.func.coalesce(_keys.c.revoked, now.timestamp())
        statement = sa.update(_keys).where(_keys.c.id == key_id).values(revoked=until)
        with self._engine.begin() as connection:
            if not connection.execute(statement).rowcount:
                raise UnknownKeyError(f"there is no key {key_id}; `recloop keys list` shows them")


def id_in(token: str) -> str:
    """The id that a token names; empty where it is none of ours."""
    parts = token.split("_", 2)
    return parts[1] if len(parts) == len(("prefix", "id", "secret")) and parts[0] == _PREFIX else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
