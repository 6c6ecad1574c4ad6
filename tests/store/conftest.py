"""Fixtures of the tests of the store: a real PostgreSQL and stores of an older version."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from benchmarks.robustness import servers

STORES = Path(__file__).parent / "stores"


@pytest.fixture(scope="session")
def server() -> Iterator[servers.Postgres]:
    if servers.missing("initdb"):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with servers.postgres() as server:
        yield server


@pytest.fixture
def url(server, request, tmp_path) -> str:
    """Return the URL of a new database for each test."""
    name = f"{request.node.name.lower()[:45]}-{abs(hash(tmp_path)) % 10**9}"
    root = sa.create_engine(server.url.replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
    with root.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    root.dispose()
    return server.url.replace("/postgres", f"/{name}")


@dataclass(frozen=True)
class Databases:
    """Places of the events and keys of one store: two SQLite files, or one PostgreSQL database."""

    events: str
    keys: str

    @property
    def is_server(self) -> bool:
        return self.events == self.keys

    def engines(self) -> list[sa.Engine]:
        return [
            sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
            for url in dict.fromkeys([self.events, self.keys])
        ]

    def fill(self) -> None:
        """Load the tables and rows that commit 512bf31 wrote (see `stores/README.md`)."""
        if self.is_server:
            with psycopg.connect(self.events) as connection:
                connection.execute(STORES.joinpath("postgresql.sql").read_bytes())
            return
        for url, name in ((self.events, "events.sql"), (self.keys, "keys.sql")):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
                file.executescript(STORES.joinpath(name).read_text("utf-8"))


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request, tmp_path) -> Databases:
    if request.param == "sqlite":
        return Databases(f"sqlite:///{tmp_path}/events.db", f"sqlite:///{tmp_path}/keys.db")
    url = request.getfixturevalue("url")
    return Databases(url, url)
