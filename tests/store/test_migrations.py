"""The tables of a store are created and upgraded by revisions, on SQLite and on PostgreSQL."""

import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from recloop.columns import Event
from recloop.data.live_items import LiveItem
from recloop.data.pseudonyms import Pseudonyms
from recloop.store import tables
from recloop.store.api_keys import KeyStore
from recloop.store.click_counts import ClickCounts
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from recloop.store.item_store import ItemStore
from recloop.store.migrations import upgrade
from recloop.store.schema_version import HEADS, StoreSchemaError
from recloop.store.user_id_scheme import UserIdSchemeError, check_user_id_scheme
from tests.store.conftest import Databases

NOW = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
TOKENS = {
    "sqlite": "recloop_72197775fc57_48Y950sCncdpRFaKUigNY_elSzLJzMjQP1dAn81xWzk",
    "postgresql": "recloop_44123de35626_a8482uUC4qbcToCGTPV5z87nJ_PgFMBVDem96endD1Y",
}


def open_both(databases: Databases) -> None:
    EventStore(databases.events).close()
    KeyStore(databases.keys)


def revisions(databases: Databases) -> set[str]:
    return {
        revision
        for engine in databases.engines()
        for revision in _rows(engine, "SELECT version_num FROM alembic_version")
    }


def differences(databases: Databases) -> list[tuple[Any, ...]]:
    """Return what Alembic finds to differ between the database and the tables of the code."""
    metadata = [tables.metadata, tables.keys_metadata]
    if not databases.is_server:
        events, keys = databases.engines()
        return _differences(events, metadata[0]) + _differences(keys, metadata[1])
    both = sa.MetaData()
    for one in metadata:
        for table in one.sorted_tables:
            table.to_metadata(both)
    return _differences(databases.engines()[0], both)


def _differences(engine: sa.Engine, metadata: sa.MetaData) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    return found


def _rows(engine: sa.Engine, statement: str) -> list[str]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(statement).scalars().all()
    engine.dispose()
    return list(rows)


def test_a_new_store_has_the_tables_of_the_code(databases) -> None:
    open_both(databases)
    assert differences(databases) == []
    assert revisions(databases) == set(HEADS.values())


def test_the_comparison_finds_a_column_and_an_index_that_differ(databases) -> None:
    open_both(databases)
    engine = databases.engines()[0]
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX events_of_user")
        connection.exec_driver_sql("ALTER TABLE naming ADD COLUMN extra TEXT")
    engine.dispose()
    assert {found[0] for found in differences(databases)} == {"add_index", "remove_column"}


def test_an_older_store_is_upgraded_and_keeps_every_row(databases) -> None:
    databases.fill()
    store, keys = EventStore(databases.events), KeyStore(databases.keys)
    assert differences(databases) == []
    assert revisions(databases) == set(HEADS.values())
    events = store.events()
    assert events["seq"].to_list() == [1, 2, 3, 5]
    assert events["event_id"].to_list() == ["a", "b", "c", "d"]
    assert events.row(0)[2:] == ("eve", "i1", NOW, "rating", 4.5, "red shoes", "s", "r1")
    served = store.served()
    assert served.row(0) == ("r1", "eve", NOW, "v1", "champion", ["i1", "i2"], [2, 1], [1, 1])
    assert served["request_id"].to_list() == ["r1", "r2"]
    assert store.personal.last_erasure("mallory") == 4
    assert store.personal.erased_at("mallory") == NOW
    assert ItemStore(store.engine).changes(0) == (
        [
            LiveItem(
                "i3",
                "A film",
                "A text",
                ("drama", "war"),
                '{"year": 1999}',
                NOW,
                NOW + timedelta(days=9),
            ),
            LiveItem("i4", "Another", available=False, deleted=True),
        ],
        3,
    )
    shop, guest = keys.read()
    assert shop.matches(TOKENS["postgresql" if databases.is_server else "sqlite"])
    assert (shop.name, sorted(shop.scopes), shop.is_valid(NOW)) == (
        "the shop",
        ["ingest", "recommend"],
        True,
    )
    assert guest.revoked == NOW + timedelta(hours=1)
    store.close()


def test_an_upgraded_store_continues_its_sequences(databases) -> None:
    databases.fill()
    store = EventStore(databases.events)
    store.append([StoredEvent("e", "eve", "i1", NOW, Event.CLICK)])
    store.append_served([_list("r3")])
    ItemStore(store.engine).upsert([LiveItem("i5", "New")])
    assert store.events()["seq"].to_list() == [1, 2, 3, 5, 6]
    with store.engine.connect() as connection:
        numbers = connection.execute(sa.select(tables.served.c.seq)).scalars().all()
    assert sorted(numbers) == [1, 2, 3]
    assert ItemStore(store.engine).changes(3)[1] == 4
    store.close()


def test_an_upgraded_store_keeps_its_user_id_scheme(databases) -> None:
    databases.fill()
    store = EventStore(databases.events)
    check_user_id_scheme(store, Pseudonyms(None))
    with pytest.raises(UserIdSchemeError):
        check_user_id_scheme(store, Pseudonyms(b"k" * 32))
    store.close()


def test_the_number_of_a_deleted_list_is_not_used_again(databases) -> None:
    store = EventStore(databases.events)
    counts = ClickCounts(store.engine)
    store.append_served([_list("first", "eve")])
    counts.update()
    store.personal.erase("eve", NOW)
    store.append_served([_list("second", "adam")])
    counts.update()
    assert counts.shown["i"] == 2
    store.close()


@pytest.mark.parametrize("stored", ["older", "new"])
def test_the_sqlite_tables_equal_those_of_the_code_word_by_word(tmp_path, stored) -> None:
    """Alembic's comparison leaves out AUTOINCREMENT and WITHOUT ROWID."""
    databases = Databases(f"sqlite:///{tmp_path}/events.db", f"sqlite:///{tmp_path}/keys.db")
    if stored == "older":
        databases.fill()
    open_both(databases)
    created = sa.create_engine(f"sqlite:///{tmp_path}/created.db")
    tables.metadata.create_all(created)
    tables.keys_metadata.create_all(created)
    found = set().union(*map(_definitions, databases.engines()))
    assert found == _definitions(created)
    assert len(found) == 9  # six tables and three indexes


def _definitions(engine: sa.Engine) -> set[str]:
    statement = (
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
        " AND tbl_name NOT IN ('alembic_version', 'sqlite_sequence')"
    )
    return {" ".join(sql.replace('"', "").split()) for sql in _rows(engine, statement)}


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["older", "new"])
def test_four_processes_open_one_store_at_the_same_time(databases, stored) -> None:
    if stored == "older":
        databases.fill()
    program = textwrap.dedent(
        """
        import json, sys
        from recloop.store.api_keys import KeyStore
        from recloop.store.event_store import EventStore
        print("ready", flush=True)
        sys.stdin.readline()
        store = EventStore(sys.argv[1])
        print(json.dumps([store.events().height, len(KeyStore(sys.argv[2]).read())]))
        store.close()
        """
    )
    command = [sys.executable, "-W", "error", "-c", program, databases.events, databases.keys]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda process: process.communicate("\n", timeout=120), processes))
    assert [process.returncode for process in processes] == [0] * 4, outputs
    expected = [4, 2] if stored == "older" else [0, 0]
    assert [json.loads(output) for output, _ in outputs] == [expected] * 4
    upgrades = sum(errors.count("store upgraded") for _, errors in outputs)
    assert upgrades == (2 if stored == "older" else 0)  # once per branch
    assert differences(databases) == []


def test_a_store_with_a_revision_that_this_version_does_not_know_is_refused(databases) -> None:
    databases.fill()
    open_both(databases)
    for engine in databases.engines():
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num||'x'")
        engine.dispose()
    for kind, url in ((EventStore, databases.events), (KeyStore, databases.keys)):
        with pytest.raises(
            StoreSchemaError, match=r"newer version of recloop .* install the newer version, or"
        ):
            kind(url)
    assert revisions(databases) == {f"{head}x" for head in HEADS.values()}


@pytest.fixture
def next_version(tmp_path, monkeypatch):
    """Return a function that adds a revision, as the next version of recloop will."""
    folder = tmp_path / "versions"
    folder.mkdir()
    known = upgrade.migrations_config()

    def add(body: str) -> None:
        lines = [
            "import sqlalchemy as sa",
            "from alembic import op",
            "revision, down_revision, branch_labels = 'events_next', 'events_0002', None",
            "def upgrade():",
            *(f"    {line}" for line in body.splitlines()),
        ]
        folder.joinpath("events_next.py").write_text("\n".join(lines), "utf-8")
        config = upgrade.migrations_config()
        config.set_main_option("path_separator", "newline")
        location = ScriptDirectory.from_config(known).versions
        config.set_main_option("version_locations", f"{location}\n{folder}")
        monkeypatch.setattr(upgrade, "migrations_config", lambda: config)
        monkeypatch.setitem(HEADS, "events", "events_next")

    return add


def test_the_next_version_upgrades_a_store_which_this_version_then_refuses(
    databases, next_version, monkeypatch
) -> None:
    databases.fill()
    open_both(databases)
    next_version("op.add_column('events', sa.Column('place', sa.Text))")
    store = EventStore(databases.events)
    assert store.events().height == 4
    assert _rows(store.engine, "SELECT place FROM events") == [None] * 4
    monkeypatch.undo()
    with pytest.raises(StoreSchemaError, match="events_next"):
        EventStore(databases.events)


def test_a_migration_that_fails_changes_nothing(databases, next_version, monkeypatch) -> None:
    databases.fill()
    open_both(databases)
    next_version(
        "op.add_column('events', sa.Column('place', sa.Text))\nop.drop_table('served')\n1 / 0"
    )
    with pytest.raises(ZeroDivisionError):
        EventStore(databases.events)
    monkeypatch.undo()
    store = EventStore(databases.events)
    assert (store.events().height, store.served().height) == (4, 2)
    assert differences(databases) == []
    store.close()


def test_a_table_of_another_program_is_refused_and_left_as_it_is(databases) -> None:
    engine = databases.engines()[0]
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE events (id INTEGER, event_id TEXT)")
    with pytest.raises(StoreSchemaError, match=r"the table events .* RECLOOP_DATABASE_URL"):
        EventStore(databases.events)
    assert sa.inspect(engine).get_table_names() == ["events"]
    engine.dispose()


def test_opening_a_current_store_is_one_query_without_alembic(databases) -> None:
    open_both(databases)
    program = textwrap.dedent(
        """
        import json, sys
        import sqlalchemy as sa
        from recloop.store.api_keys import KeyStore
        from recloop.store.event_store import EventStore
        statements = []
        note = lambda *arguments: statements.append(arguments[2])
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        EventStore(sys.argv[1]).close()
        opened = len(statements)
        KeyStore(sys.argv[2])
        print(json.dumps([opened, len(statements) - opened, "alembic" in sys.modules]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, databases.events, databases.keys],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == [1, 1, False]


def test_each_branch_ends_at_the_revision_that_the_code_expects() -> None:
    scripts = ScriptDirectory.from_config(upgrade.migrations_config())
    heads = [scripts.get_revision(head) for head in scripts.get_heads()]
    branches = {label: head.revision for head in heads for label in head.branch_labels}
    assert branches == HEADS


def _list(request: str, user: str | None = None) -> ServedList:
    return ServedList(request, user, NOW, "v1", "champion", ["i"], [1.0], [1.0])
