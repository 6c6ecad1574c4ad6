"""Erasure and retention in the event store, and what later snapshots take."""

import sqlite3
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from recloop import columns as c
from recloop.data.catalogue import Catalogue
from recloop.data.erased_users import ERASED, user_digest
from recloop.data.frame_schemas import INTERACTIONS
from recloop.data.snapshot import Snapshot, SnapshotConfig, take_snapshot
from recloop.data.sources import RawData
from recloop.recommender.history import InteractionHistory, PackagedHistories
from recloop.registry.user_table import user_table
from recloop.stages import files
from recloop.stages import snapshot as stage
from recloop.store.event_store import EventStore, ServedList, StoredEvent
from recloop.store.retention import ExpiredRows, Retention, expire
from tests.support import tiny_model

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
USERS = ("person-anna", "person-ben", "person-☃/%2e")
CATALOGUE = Catalogue(tiny_model.items())
# Each example creates a store, which is slow on a busy disk.
STORES = settings(deadline=None, max_examples=40)


def event(name: str, user: str = USERS[0], item: str = "east1", **changes: object) -> StoredEvent:
    facts: dict[str, Any] = {
        "timestamp": NOW,
        "event": c.Event.CLICK,
        "query": f"what {user} said",
        **changes,
    }
    return StoredEvent(name, user, item, **facts)


def answer(request: str, user: str | None, erasure: int = 0) -> ServedList:
    return ServedList(
        request, user, NOW, "v1", "champion", ["east1"], [1.0], [1.0], erasure=erasure
    )


def cells(path: Path) -> list[str]:
    """Return all cells of all tables."""
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return [
            str(cell)
            for (name,) in names
            for row in connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - its own names
            for cell in row
        ]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def store(path):
    store = EventStore.at(path)
    yield store
    store.close()


def test_an_erasure_returns_its_numbers_and_stores_a_digest(store, path) -> None:
    store.append([event("a"), event("b"), event("c", USERS[1])])
    store.append_served([answer("r", USERS[0]), answer("s", None), answer("t", USERS[1])])
    erased = store.personal.erase(USERS[0], NOW)
    assert (erased.events, erased.served, erased.seq) == (2, 1, 4)
    assert not [cell for cell in cells(path) if USERS[0] in cell]
    assert user_digest(USERS[0]) in cells(path)
    assert store.events()["event_id"].to_list() == ["c"]
    assert store.served()[c.REQUEST].to_list() == ["s", "t"]
    again = store.personal.erase(USERS[0], NOW)
    assert (again.events, again.served) == (0, 0)
    assert (
        store.feedback().until == again.seq == 5
    )  # a model packaged from this contains the erasure


def test_the_time_of_an_erasure_never_decreases(store) -> None:
    store.personal.erase(USERS[0], NOW)
    store.personal.erase(USERS[0], NOW - timedelta(hours=1))
    assert store.personal.erased_at(USERS[0]) == NOW
    assert store.personal.erased_at("nobody") is None


def test_a_list_from_before_the_erasure_is_not_stored_after_it(store) -> None:
    seq = store.personal.erase(USERS[0], NOW).seq
    late, since = answer("late", USERS[0]), answer("since", USERS[0], erasure=seq)
    assert store.append_served([late, since, answer("other", USERS[1])]) == 2
    assert store.served()[c.REQUEST].to_list() == ["since", "other"]


def test_an_erasure_that_fails_halfway_changes_nothing(store, path) -> None:
    store.append([event("a")])
    store.append_served([answer("r", USERS[0])])
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE DELETE ON served BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(sa.exc.IntegrityError):
        store.personal.erase(USERS[0], NOW)
    assert store.events().height == store.served().height == 1
    assert store.personal.last_erasure(USERS[0]) == 0


def test_deleted_rows_are_overwritten_in_the_files(store, path) -> None:
    store.append([event(str(n)) for n in range(200)])
    assert USERS[0].encode() in b"".join(f.read_bytes() for f in path.parent.iterdir())
    store.personal.erase(USERS[0], NOW)
    expire(store, Retention(), NOW)
    assert USERS[0].encode() not in b"".join(f.read_bytes() for f in path.parent.iterdir())


def test_a_store_of_an_older_version_gets_the_new_tables(path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE served (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
            " request_id TEXT NOT NULL UNIQUE,"
            " user_id TEXT, micros BIGINT NOT NULL, model_version TEXT NOT NULL, arm TEXT NOT NULL,"
            " items JSON NOT NULL, scores JSON NOT NULL, propensities JSON NOT NULL)"
        )
    store = EventStore.at(path)
    store.append_served([answer("r", USERS[0])])
    assert store.personal.erase(USERS[0], NOW).served == 1
    indexes = {index["name"] for index in sa.inspect(store.engine).get_indexes("served")}
    assert "served_to_user" in indexes
    store.close()


NAMES = st.sampled_from(USERS)
ITEMS = st.sampled_from(tiny_model.IDS)
DOINGS = st.lists(
    st.tuples(st.just("event"), NAMES, ITEMS)
    | st.tuples(st.just("answer"), NAMES | st.none(), st.booleans())
    | st.tuples(st.just("erase"), NAMES, st.none())
    | st.tuples(st.just("snapshot"), st.none(), st.none()),
    max_size=25,
)


@pytest.mark.slow
@STORES
@given(doings=DOINGS, user=NAMES)
def test_no_data_of_an_erased_user_is_left(doings, user, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("store") / "events.db"
    store = EventStore.at(path)
    _do(store, doings)
    others = store.events().filter(pl.col(c.USER) != user)
    store.personal.erase(user, NOW)
    assert not [cell for cell in cells(path) if user in cell]
    assert store.events().equals(others)
    assert list(store.personal.events(user)) == list(store.personal.served(user)) == []
    store.close()


@pytest.mark.slow
@STORES
@given(doings=DOINGS)
def test_packaged_and_newer_events_are_exactly_those_that_are_not_erased(
    doings, tmp_path_factory
) -> None:
    """The snapshot of the model may be taken before, between or after erasures."""
    store = EventStore.at(tmp_path_factory.mktemp("store") / "events.db")
    expected: dict[str, set[str]] = defaultdict(set)
    states = PackagedHistories([], [], [], 0)
    for number, doing in enumerate(doings):
        states = _do(store, [doing], number) or states
        kind, user, item = doing
        if kind == "event":
            expected[user].add(item)
        elif kind == "erase":
            expected[user].clear()
        for somebody in USERS:
            erased = store.personal.last_erasure(somebody)
            newer = store.recent(somebody, states.last_sequence, 100)
            state = states.get(somebody, erased).updated_with(newer, CATALOGUE)
            assert {CATALOGUE.ids[row] for row in state.seen} == expected[somebody]
    store.close()


def _do(store: EventStore, doings: list[tuple], start: int = 0) -> PackagedHistories | None:
    states = None
    for number, (kind, user, what) in enumerate(doings, start):
        if kind == "event":
            store.append([event(f"e{number}", user, what)])
        elif kind == "answer":
            knew = store.personal.last_erasure(user) if what else 0
            store.append_served([answer(f"r{number}", user, knew)])
        elif kind == "erase":
            store.personal.erase(user, NOW)
        else:
            states = _package(store)
    return states


def _package(store: EventStore) -> PackagedHistories:
    feedback = store.feedback()
    source = RawData(
        pl.DataFrame({"user_id": ["filler"], "item_id": ["both"], "timestamp": [1]}),
        tiny_model.items(),
    )
    taken = take_snapshot(source, feedback.events, SnapshotConfig(), feedback.erasures)
    users = user_table(taken.interactions, CATALOGUE)
    seen = [np.array(rows, np.int64) for rows in users["seen"]]
    nothing = InteractionHistory.from_events([], CATALOGUE)
    return PackagedHistories(
        users[c.USER].to_list(), [nothing] * users.height, seen, feedback.until
    )


@STORES
@given(doings=DOINGS, days=st.integers(1, 3), passed=st.integers(0, 5))
def test_sequence_numbers_are_never_reused(doings, days, passed, tmp_path_factory) -> None:
    store = EventStore.at(tmp_path_factory.mktemp("store") / "events.db")
    _do(store, doings)
    until = store.feedback().until
    expire(store, Retention(events_days=days), datetime.now(UTC) + timedelta(days=passed, hours=1))
    store.append([event("the next one")])
    assert max(store.events()["seq"]) > until
    assert store.recent(USERS[0], until, 1)
    store.close()


def test_rows_expire_after_the_configured_days(store) -> None:
    store.append([event("a"), event("b", timestamp=NOW - timedelta(days=900))])
    old, new = NOW - timedelta(days=31), NOW - timedelta(days=29)
    for name, moment in (("old", old), ("new", new)):
        store.append_served(
            [ServedList(name, "u", moment, "v1", "champion", ["east1"], [1.0], [1.0])]
        )
    assert expire(store, Retention(served_days=None), NOW) == ExpiredRows(0, 0)
    assert expire(store, Retention(served_days=30), NOW) == ExpiredRows(0, 1)
    assert store.served()[c.REQUEST].to_list() == ["new"]
    arrived = datetime.now(UTC)  # the age of an event counts from its arrival
    week = Retention(events_days=7)
    assert expire(store, week, arrived + timedelta(days=6)).events == 0
    assert expire(store, week, arrived + timedelta(days=8)).events == 2
    assert store.feedback().until == 0


def snapshot(raw: dict[str, list], feedback: pl.DataFrame, erased: pl.DataFrame) -> Snapshot:
    source = RawData(pl.DataFrame(raw), tiny_model.items())
    return take_snapshot(source, feedback, SnapshotConfig(), erased)


def test_a_snapshot_omits_data_from_before_the_erasure(store) -> None:
    store.personal.erase("eve", NOW)
    store.append([event("after", "eve", "both"), event("other", "adam", "both")])
    at = NOW.timestamp()
    raw = {
        "user_id": ["eve", "eve", "eve", "eve", " eve ", "adam", "eve"],
        "item_id": ["east1", "east2", "north1", "", "north2", "east1", "north1"],
        "timestamp": [str(at - 9), str(at), str(at + 1), str(at - 5), str(at - 7), "5", "no time"],
    }
    feedback = store.feedback()
    taken = snapshot(raw, feedback.events, feedback.erasures)
    assert taken.interactions.select(c.USER, c.ITEM).rows() == [
        ("adam", "east1"),
        ("eve", "both"),
        ("adam", "both"),
        ("eve", "north1"),
    ]
    assert (taken.erased_source_rows, taken.erased_feedback_rows) == (5, 0)
    assert taken.quarantine.height == 0  # eve's invalid rows are erased too


def test_the_stage_records_the_number_of_omitted_rows(home, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        f"snapshot: {{source: {{kind: csv, folder: {tmp_path}}}}}", encoding="utf-8"
    )
    Path("items.csv").write_text("item_id,title\neast1,East\n", encoding="utf-8")
    Path("interactions.csv").write_text(
        "user_id,item_id,timestamp\neve,east1,1\neve,east1,2\nadam,east1,3\n", encoding="utf-8"
    )
    store = EventStore.at(home.events)
    store.append([event("a", "eve"), event("b", "adam")])
    store.personal.erase("eve", NOW)
    stage.main()
    facts = files.read_json(files.SNAPSHOT_INFO)
    assert facts["erased"] == {"source": 2, "feedback": 0}
    assert (facts["interactions"], facts["users"], facts["feedback_until"]) == (2, 1, 3)
    store.close()


def test_restored_rows_from_before_an_erasure_are_omitted(
    store,
) -> None:
    store.append([event("old", "eve"), event("bad", "eve", "no such item")])
    restored = store.events()  # as if restored from a backup
    store.personal.erase("eve", NOW)
    raw: dict[str, list] = {"user_id": ["adam"], "item_id": ["east1"], "timestamp": [5]}
    taken = snapshot(raw, restored, store.feedback().erasures)
    assert taken.erased_feedback_rows == 2
    assert taken.feedback.height == taken.quarantine.height == 0


@given(
    rows=st.lists(st.tuples(NAMES, st.sampled_from([None, -2, -1, 0, 1, 2])), min_size=1),
    erased=st.dictionaries(NAMES, st.sampled_from([-1, 0, 1])),
)
def test_every_row_of_the_source_is_kept_quarantined_or_counted(rows, erased) -> None:
    known = [
        (user_digest(user), NOW + timedelta(hours=hours), number)
        for number, (user, hours) in enumerate(erased.items(), start=1)
    ]
    raw = {
        "user_id": [user for user, _ in rows],
        "item_id": ["east1"] * len(rows),
        "timestamp": [
            "no time" if hours is None else str(NOW.timestamp() + 3600 * hours) for _, hours in rows
        ],
    }
    empty = pl.DataFrame(schema={"seq": pl.Int64(), "event_id": pl.String(), **INTERACTIONS})
    taken = snapshot(raw, empty, pl.DataFrame(known, schema=ERASED, orient="row"))
    kept = [
        user
        for user, hours in rows
        if user not in erased or (hours is not None and hours > erased[user])
    ]
    assert taken.interactions.height + taken.quarantine.height == len(kept)
    assert taken.erased_source_rows == len(rows) - len(kept)
