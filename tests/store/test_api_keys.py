"""API keys: stored as hashes, valid in every worker until they expire or are revoked."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from recloop.cli.main import app
from recloop.store.api_keys import KeyStore, UnknownKeyError
from recloop.store.key_cache import KeyCache
from recloop.store.scopes import Scope

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """Clock that the tests set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.db"


@pytest.fixture
def store(path) -> KeyStore:
    return KeyStore.at(path)


def ring_of(path, clock=None) -> KeyCache:
    ring = KeyCache(path, seconds=0.5, clock=clock or Clock())
    ring.refresh()
    return ring


def test_a_key_is_found_by_its_token_which_is_not_stored(store, path) -> None:
    key, token = store.create("shop", [Scope.INGEST, Scope.RECOMMEND], NOW)
    assert ring_of(path).find(token, NOW) == key
    assert key is not None
    assert key.scopes == {Scope.INGEST, Scope.RECOMMEND}
    assert re.fullmatch(rf"recloop_{key.id}_[\w-]{{43}}", token)  # 32 bytes in base64
    secret = token.removeprefix(f"recloop_{key.id}_").encode()
    assert secret not in path.read_bytes()


def test_two_keys_may_have_the_same_name(store, path) -> None:
    (first, one), (second, other) = (store.create("shop", [Scope.INGEST], NOW) for _ in range(2))
    ring = ring_of(path)
    assert (ring.find(one, NOW), ring.find(other, NOW)) == (first, second)
    assert first.id != second.id
    assert ring.find(one.replace(first.id, second.id), NOW) is None


def test_a_key_is_invalid_from_its_expiry(store, path) -> None:
    key, token = store.create("guest", [Scope.RECOMMEND], NOW, NOW + DAY)
    ring = ring_of(path)
    assert ring.find(token, NOW + DAY - timedelta(microseconds=1)) == key
    assert ring.find(token, NOW + DAY) is None


def test_revoking_again_keeps_the_first_time(store, path) -> None:
    key, token = store.create("shop", [Scope.ADMIN], NOW)
    store.revoke(key.id, NOW + DAY)
    store.revoke(key.id, NOW + 2 * DAY)
    assert ring_of(path).find(token, NOW) is None
    (kept,) = store.read()
    assert kept.revoked == NOW + DAY
    with pytest.raises(UnknownKeyError, match="nobody"):
        store.revoke("nobody", NOW)


def test_a_key_needs_a_scope_and_a_later_expiry(store) -> None:
    with pytest.raises(ValueError, match="scope"):
        store.create("shop", [], NOW)
    with pytest.raises(ValueError, match="expire"):
        store.create("shop", [Scope.ADMIN], NOW, NOW)
    assert store.read() == []


def test_changes_of_another_process_are_in_effect_after_half_a_second(store, path) -> None:
    clock = Clock()
    ring = ring_of(path, clock)
    key, token = KeyStore.at(path).create("shop", [Scope.INGEST], NOW)  # by another process
    clock.seconds += 0.49
    assert not ring.is_stale
    ring.refresh()  # the cache is not stale yet
    assert ring.find(token, NOW) is None
    clock.seconds += 0.01
    assert ring.is_stale
    ring.refresh()
    assert ring.find(token, NOW) == key
    store.revoke(key.id, NOW)
    clock.seconds += 0.5
    ring.refresh()
    assert ring.find(token, NOW) is None


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "keys.db"
    _, token = KeyStore.at(path).create("shop", [Scope.ADMIN], NOW)
    return ring_of(path), token


def test_a_token_that_is_no_valid_unicode_is_refused(shared) -> None:
    ring, token = shared
    assert ring.find(token[:-1] + "\ud800", NOW) is None


@given(data=st.data())
def test_only_the_exact_token_is_accepted(shared, data) -> None:
    ring, token = shared
    place = data.draw(st.integers(0, len(token)))
    wrong = data.draw(
        st.text()
        | st.just(token[:place])
        | st.text(max_size=2).map(lambda more: token[:place] + more + token[place:])
        | st.characters().map(lambda other: token[:place] + other + token[place + 1 :])
    )
    assert (ring.find(wrong, NOW) is not None) == (wrong == token)


def invoke(*words: str):
    return CliRunner().invoke(app, ["keys", *words], env={"COLUMNS": "200"})


def test_the_commands_create_list_and_revoke_keys(home) -> None:
    made = invoke("create", "the shop", "--scope", "ingest", "--scope", "recommend")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    key = ring_of(home.keys).find(token, datetime.now(UTC))
    assert key is not None
    assert key.scopes == {Scope.INGEST, Scope.RECOMMEND}
    listed = invoke("list").stdout
    assert all(word in listed for word in (key.id, "the shop", "ingest recommend", "never"))
    assert token not in listed
    assert key.digest not in listed
    assert invoke("revoke", key.id).exit_code == 0
    assert "revoked" in invoke("list").stdout
    assert ring_of(home.keys).find(token, datetime.now(UTC)) is None


def test_a_key_can_be_created_with_an_expiry(home) -> None:
    assert invoke("create", "x", "--scope", "admin", "--expires", "2999-12-31").exit_code == 0
    assert "2999-12-31" in invoke("list").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create", "x"], "--scope"),
        (["create", "x", "--scope", "everything"], "everything"),
        (["create", "x", "--scope", "admin", "--expires", "2001-01-01"], "expire"),
        (["create", "x", "--scope", "admin", "--expires", "soon"], "soon"),
        (["revoke", "nobody"], "nobody"),
    ],
)
def test_invalid_commands_print_the_reason(home, words, message) -> None:
    answer = invoke(*words)
    assert answer.exit_code != 0
    assert message in answer.output
