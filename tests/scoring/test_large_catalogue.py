"""Tests of a catalogue that is too large to score whole: candidates, and the blend on them.

It has 4,000 synthetic items and a lower threshold; without the threshold all items are scored.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from benchmarks.serving.synthetic import ModelSize, OnnxModels, synthetic_payload
from recloop import columns as c
from recloop.recommender.history import UserHistory
from recloop.recommender.items.filter_conditions import FilterConditions
from recloop.recommender.lists.boosts_and_quotas import ListRules
from recloop.recommender.lists.list_builder import ListOptions as ListShape
from recloop.recommender.live_catalogue import LiveCatalogue
from recloop.recommender.recommender import Recommender, UnknownItemError
from recloop.recommender.request import Request
from recloop.recommender.retrieval import RetrievalConfig
from recloop.registry.manifest import PAYLOAD, CorruptModelError, seal, verify
from recloop.registry.mmap_tensors import mmap_tensors
from recloop.registry.payload import INDEXES, Payload
from recloop.schemas.rules import Boost, Quota
from recloop.scoring.blend import POPULARITY, recent_popularity
from recloop.scoring.candidate_set import ALL_ITEMS, CandidateSet, ReferenceSample
from recloop.scoring.candidates.approximation import ScoreApproximator
from recloop.scoring.query.matcher import QueryModelConfig, QueryWeights
from recloop.scoring.query.title_index import TitleIndex
from recloop.scoring.scorer import RequestBatch, standardise, to_float32
from tests.support import tiny_model
from tests.support.toy_recommender import film, gone, with_all_encoded, with_changes_of

ITEMS, USERS, K = 4_000, 60, 20
SMALL = RetrievalConfig(min_catalogue=ITEMS - 1, per_channel=200, exhaustive_below=200, sample=500)
NOBODY = UserHistory.empty()
# Half a year after every item was published.
LATER = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    direction = np.eye(16)[0].tolist()
    models = OnnxModels(
        tiny_model.identity_tower(12),
        20,
        QueryModelConfig(kind="onnx", weights=QueryWeights(), max_tokens=16),
        tiny_model.constant_encoder(direction),
        tiny_model.tokenizer(),
    )
    synthetic_payload(ModelSize(ITEMS, USERS, dim=12, factors=8, text=16), models, SMALL).save(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def packaged(folder) -> Payload:
    return Payload.load(folder)


@pytest.fixture(scope="module")
def large(packaged) -> Recommender:
    return packaged.recommender()


@pytest.fixture(scope="module")
def exact(packaged) -> Recommender:
    return replace(packaged, indexes=None).recommender()


def ids(found) -> list[str]:
    return [item.item_id for item in found]


def recall(found: list[str], wanted: list[str]) -> float:
    return len(set(found) & set(wanted)) / len(wanted)


@pytest.mark.parametrize("query", [None, "anything", "title"])
def test_candidates_find_what_scoring_everything_finds(large, exact, query) -> None:
    """Mean recall over twenty places; a query is a direction or the title of an item."""
    offered = np.flatnonzero(large.catalogue.items[c.AVAILABLE].to_numpy())
    text = large.catalogue.items[c.TITLE][int(offered[0])] if query == "title" else query
    shares = []
    for user in range(30):
        request = Request(large.histories.get(f"u{user}"), k=K, time=LATER, query=text)
        wanted = ids(exact.recommend(request))
        found = ids(large.recommend(request))
        assert query != "title" or found[0] == wanted[0]
        shares.append(recall(found, wanted))
    assert np.mean(shares) >= 0.95


def test_a_contribution_means_the_same_as_where_everything_is_scored(large, exact) -> None:
    request = Request(large.histories.get("u3"), k=5)
    wanted = {item.item_id: item for item in exact.recommend(replace(request, k=50))}
    found = large.recommend(request)
    assert len(found) == 5
    for item in found:
        expected = wanted[item.item_id].contributions
        assert item.contributions == pytest.approx(expected, rel=0.15, abs=0.1)


def test_a_batch_is_ranked_as_single_requests_are(large) -> None:
    requests = [Request(large.histories.get(f"u{user}"), k=K, time=LATER) for user in range(5)]
    ranked, _ = large.rank(requests)
    apart = [ids(large.recommend(request)) for request in requests]
    assert [[large.catalogue.ids[row] for row in rows] for rows in ranked] == apart


def test_similar_and_popular_items_too(large, exact) -> None:
    request = Request(NOBODY, k=K, time=LATER)
    assert ids(large.popular(request)) == ids(exact.popular(request))
    assert ids(large.popular(request, recent_popularity(0))) == ids(
        exact.popular(request, recent_popularity(0))
    )
    shares = []
    for item in ("i5", "i50", "i500"):
        found = ids(large.similar(item, request))
        assert item not in found
        shares.append(recall(found, ids(exact.similar(item, request))))
    assert np.mean(shares) >= 0.9
    with pytest.raises(UnknownItemError):
        large.similar("nothing", request)


def test_a_request_without_a_user_gets_popular_items(large, exact) -> None:
    request = Request(NOBODY, k=5, time=LATER)
    assert ids(large.recommend(request)) == ids(exact.recommend(request))


def test_a_filter_that_leaves_few_is_scored_as_a_whole(large, exact) -> None:
    """A topic has about a hundred items: each is scored, and a sample standardises the channels."""
    topic = large.catalogue.items[c.CATEGORIES][0][1]
    request = Request(
        large.histories.get("u1"), k=K, time=LATER, categories=frozenset({topic}), explain=True
    )
    found = large.recommend(request)
    assert recall(ids(found), ids(exact.recommend(request))) >= 0.9
    assert len(found) == K
    assert found[0].reasons


@pytest.mark.parametrize("left", [5, 300])
def test_a_user_who_has_seen_nearly_all_items_gets_a_list(large, left) -> None:
    """No channel proposes the items that are left: 5 of them, or 300."""
    rows = np.arange(ITEMS - left)
    request = Request(UserHistory(NOBODY.positive, rows, rows[:0]), k=10)
    found = large.recommend(request)
    assert len(found) == min(10, left)
    assert not set(ids(found)) & {f"i{row}" for row in rows}
    only = FilterConditions(only=frozenset(f"i{row}" for row in range(ITEMS - 250, ITEMS)))
    assert len(large.recommend(replace(request, conditions=only))) == min(10, left)


def test_items_of_boosts_and_quotas_are_among_the_candidates(large, exact) -> None:
    rules = ListRules(
        boosts=(Boost(item_id="i77", add=100),), quotas=(Quota(category="d3", at_least=3),)
    )
    request = Request(large.histories.get("u2"), k=K, options=ListShape(rules=rules))
    found = ids(large.recommend(request))
    assert found[0] == "i77"
    rows = large.catalogue.rows(found)
    assert sum("d3" in large.catalogue.items[c.CATEGORIES][int(row)] for row in rows) >= 3
    diverse = Request(large.histories.get("u2"), k=K, options=ListShape(diversity=0.3))
    assert recall(ids(large.recommend(diverse)), ids(exact.recommend(diverse))) >= 0.8


class Read:
    """Encoder of live items that looks their vectors up."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors

    def encode_query(self, query: str) -> np.ndarray:
        return self._vectors.get(query, np.zeros(16, np.float32))

    encode_passage = encode_query


def test_new_items_are_found_by_text_by_title_and_by_neighbours(large) -> None:
    """A new item with the text of a known one gets the mean score of that item's neighbours."""
    known = large.recommend(Request(large.histories.get("u4"), k=1))[0].item_id
    row = large.catalogue.rows([known])[0]
    vector = large.query.items.vector(int(row))
    side = large.query.with_encoder(Read({"Zanzibar": vector, "like it": vector}))
    base = large.with_catalogue(availability=large.availability, query=side)
    overlay = with_all_encoded(
        with_changes_of(
            LiveCatalogue.from_recommender(base), film("new", title="Zanzibar", categories=("d3",))
        )
    )
    served = overlay.recommender
    assert "new" in ids(served.recommend(Request(NOBODY, k=10, query="like it")))
    assert ids(served.recommend(Request(NOBODY, k=1, query="zanzibar"))) == ["new"]
    assert "new" in ids(served.recommend(Request(large.histories.get("u4"), k=100)))
    assert "new" in ids(served.similar(known, Request(NOBODY, k=100)))
    assert known in ids(served.similar("new", Request(NOBODY, k=10)))
    seen = UserHistory.empty().updated_with([("new", "click", 0.0)], served.catalogue)
    assert len(served.recommend(Request(seen, k=10))) == 10
    anew = with_all_encoded(
        with_changes_of(overlay, film("i9", title="Zanzibar", text="once more"))
    )
    assert "i9" in ids(anew.recommender.recommend(Request(NOBODY, k=2, query="zanzibar")))
    without = with_changes_of(overlay, gone("new")).recommender
    assert "new" not in ids(without.recommend(Request(NOBODY, k=10, query="like it")))


WHERE = st.builds(
    FilterConditions,
    attributes=st.just({}) | st.just({"language": ("en", "fr")}),
    ranges=st.just({}) | st.just({"price": (5.0, 30.0)}),
    only=st.none() | st.frozensets(st.integers(0, ITEMS).map(lambda row: f"i{row}"), max_size=40),
)


@settings(max_examples=60)
@given(
    user=st.integers(0, USERS),
    exclude=st.lists(st.integers(0, ITEMS).map(lambda row: f"i{row}"), max_size=30),
    categories=st.frozensets(st.integers(0, 12).map(lambda number: f"d{number}"), max_size=3),
    conditions=WHERE,
    query=st.sampled_from([None, "anything"]),
    diversity=st.sampled_from([0.0, 0.5]),
    k=st.integers(1, 100),
)
def test_lists_hold_k_eligible_items(
    large, user, exclude, categories, conditions, query, diversity, k
) -> None:
    state = large.histories.get(f"u{user}")
    request = Request(
        state,
        k=k,
        query=query,
        exclude=tuple(exclude),
        categories=categories,
        conditions=conditions,
        time=LATER,
        options=ListShape(diversity=diversity),
    )
    items, found = large.catalogue.items, large.recommend(request)
    fine = np.ones(ITEMS, bool)
    fine[state.seen] = False
    fine[large.catalogue.rows(exclude)] = False
    fine &= items[c.AVAILABLE].to_numpy()
    if categories:
        fine &= [bool(categories & set(own)) for own in items[c.CATEGORIES]]
    fine &= conditions.mask(large.catalogue, large.availability)
    assert len({item.item_id for item in found}) == len(found) == min(k, fine.sum())
    assert fine[large.catalogue.rows(ids(found))].all()


def test_candidates_have_weight_one_and_the_sample_stands_for_the_rest() -> None:
    """Six of eight are known, 0 and 7 are candidates, 2 and 5 are drawn and stand for five."""
    known = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
    part = ReferenceSample(np.array([2, 5]), known).with_candidates(np.array([7, 0, 8]))
    assert part.rows.tolist() == [0, 2, 5, 7, 8]
    assert part.sample_weight.tolist() == [1, 2.5, 2.5, 1, 1]
    assert part.positions(np.array([5, 1, 0, 9])).tolist() == [2, -1, 0, -1]
    assert part.rows_below(7).rows.tolist() == [0, 2, 5]
    assert ALL_ITEMS.positions(np.array([5, 1])).tolist() == [5, 1]
    drawn = ReferenceSample.draw(known, 4, seed=0)
    assert known[drawn.rows].all()
    assert len(np.unique(drawn.rows)) == 4


def test_the_approximation_estimates_the_scores_of_other_items() -> None:
    """Two tastes seen through two matrices; a mix wants the first taste and not the second.

    One scored item stands out for another reason, and counts for itself alone.
    """
    rng = np.random.default_rng(0)
    tastes = rng.normal(size=(2_000, 2)).astype(np.float32)
    seen = [tastes @ rng.normal(size=(2, width)).astype(np.float32) for width in (6, 9)]
    sketch = ScoreApproximator.fit([seen[0], 100 * seen[1].astype(np.float16)], np.arange(300))
    mix = tastes @ np.array([1, -1], np.float32)
    scope = CandidateSet(np.arange(200), np.where(np.arange(200) == 7, 1, 10).astype(np.float32))
    scores = mix[:200] + 5 * (np.arange(200) == 7)
    others = np.arange(200, 2_100)  # the last hundred are live, and have no numbers
    found = sketch.shortlist(scope, scores, others, 20)
    assert recall(found.tolist(), (200 + np.argsort(-mix[200:])[:10]).tolist()) == 1
    assert len(sketch.shortlist(scope, scores, others, 5_000)) == 1_800


@pytest.mark.parametrize("query", [None, "anything"])
def test_a_filter_that_leaves_many_unpopular_items_gets_a_list(large, exact, query) -> None:
    """Four of forty departments have some 400 items, of which the sixty likeliest are scored."""
    config = large.retrieval.config.model_copy(update={"narrow": 50, "likely": 60, "count": 50})
    narrow = large.with_catalogue(availability=large.availability)
    narrow.retrieval = replace(large.retrieval, config=config)
    shares = []
    for user in range(20):
        categories = frozenset(f"d{(user + n) % 40}" for n in range(4))
        request = Request(large.histories.get(f"u{user}"), k=10, categories=categories, query=query)
        found = ids(narrow.recommend(request))
        shares.append(recall(found, ids(exact.recommend(request))))
    assert np.mean(shares) >= 0.9


def test_a_live_item_is_found_by_its_neighbours_among_many_eligible_items(large) -> None:
    """The approximation lacks the live item, which has the text of the user's first item."""
    config = large.retrieval.config.model_copy(update={"narrow": 50, "likely": 60, "count": 50})
    wanted = Request(large.histories.get("u4"), k=100, categories=frozenset({"d3", "d4", "d5"}))
    first = large.recommend(wanted)[0].item_id
    vector = large.query.items.vector(int(large.catalogue.rows([first])[0]))
    base = large.with_catalogue(
        availability=large.availability, query=large.query.with_encoder(Read({"like it": vector}))
    )
    base.retrieval = replace(large.retrieval, config=config)
    here = film("here", title="like it", categories=("d4",))
    elsewhere = film("elsewhere", title="like it", categories=("d9",))
    live = with_changes_of(LiveCatalogue.from_recommender(base), here, elsewhere)
    found = ids(with_all_encoded(live).recommender.recommend(wanted))
    assert "here" in found
    assert "elsewhere" not in found


def test_sample_weights_count_items_several_times() -> None:
    """The values are 1, 1, 1 and 5: mean 2, standard deviation √3."""
    short = standardise(np.array([[1, 5, 9]], np.float32), np.array([3, 1, 0], np.float32))
    assert short[0] == pytest.approx([-1 / np.sqrt(3), np.sqrt(3), 0])


def test_a_candidate_set_of_all_items_gives_the_scores_of_all_items(large, exact) -> None:
    """A candidate set of every item with weight 1 gives the scores of the whole catalogue."""
    history = large.histories.get("u1").positive.deduplicated()
    batch = RequestBatch([history.rows], [history.signals_at(np.nan)])
    scope = CandidateSet(np.arange(ITEMS), np.ones(ITEMS, np.float32))
    everything = exact.blend.score(batch)
    part = large.blend.score(batch.with_candidates(scope))
    known = large.blend.cold_items.warm_weight
    np.testing.assert_allclose(part[:, known], everything[:, known], atol=2e-3)


@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1))
def test_float16_becomes_float32_bit_by_bit(numbers) -> None:
    halves = np.array(numbers, np.float16)
    assert to_float32(halves).tobytes() == halves.astype(np.float32).tobytes()


def test_titles_come_back_from_arrays(tmp_path) -> None:
    titles = ["Toy Story", "Story of a toy", None, "Élite"]
    index = TitleIndex(titles)
    save_file(index.to_arrays(), tmp_path / "titles.safetensors")
    again = TitleIndex.from_arrays(mmap_tensors(tmp_path / "titles.safetensors"))
    for query in ("toy story", "elite", "a tale"):
        assert again.match(query).tolist() == index.match(query).tolist()
    assert again.top_matches("toy", 1).tolist() == [0]
    assert sorted(again.top_matches("toy", 9).tolist()) == [0, 1]
    assert not len(again.top_matches("nothing", 9))


def test_tensors_are_left_on_disk(packaged, folder) -> None:
    for name in ("vectors", "text", "ials_factors", "counts"):
        array = getattr(packaged, name)
        assert not array.flags.owndata
        assert not array.flags.writeable
    assert packaged.text.dtype == np.float16
    with pytest.raises(OSError, match="nowhere"):
        mmap_tensors(folder / "nowhere")


def test_a_small_catalogue_has_no_indexes(packaged, tmp_path) -> None:
    config = packaged.config.model_copy(update={"retrieval": RetrievalConfig()})
    replace(packaged, config=config).save(tmp_path)
    assert not tmp_path.joinpath(INDEXES).exists()
    assert Payload.load(tmp_path).recommender().retrieval is None


@pytest.mark.parametrize("name", ["vectors.usearch", "lookup.safetensors"])
def test_a_damaged_index_is_refused(packaged, tmp_path, name) -> None:
    model = tmp_path / PAYLOAD
    model.mkdir()
    packaged.save(model)
    seal(tmp_path, "v1", tiny_model.LINEAGE)
    verify(tmp_path)
    path = model / INDEXES / name
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CorruptModelError, match=name):
        verify(tmp_path)
    path.unlink()
    with pytest.raises((OSError, ValueError)):
        Payload.load(model)


def test_popularity_is_asked_as_a_channel_of_its_own(large) -> None:
    assert large.popular(Request(NOBODY, k=3), "recent-popularity-9") == []
    found = large.popular(Request(NOBODY, k=3))
    assert [item.contributions[POPULARITY] for item in found] == [item.score for item in found]
