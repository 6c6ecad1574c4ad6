"""A catalogue that is too large to score as a whole: candidates, and the same mix on them.

4,000 synthetic items with the threshold below that; the same files with the threshold above are exact.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tiny
from compass import film, gone, settled, told
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from benchmarks.serving.synthetic import Brain, Shape, payload
from recloop import columns as c
from recloop.models.blend import POPULARITY, trend
from recloop.models.query import QueryCard, QueryMix
from recloop.models.scope import EVERYTHING, Part, Sample
from recloop.models.scorer import standardise, widened
from recloop.models.sketch import Sketch
from recloop.models.titles import TitleIndex
from recloop.recommender.filters import Where
from recloop.recommender.live import Overlay
from recloop.recommender.recommender import Recommender, UnknownItemError
from recloop.recommender.request import Request
from recloop.recommender.retrieval import RetrievalConfig
from recloop.recommender.rules import Boost, Quota, Rules
from recloop.recommender.shape import Shape as ListShape
from recloop.recommender.state import UserState
from recloop.registry.manifest import PAYLOAD, CorruptModelError, Lineage, seal, verify
from recloop.registry.mapped import mapped
from recloop.registry.payload import INDEXES, Payload

ITEMS, USERS, K = 4_000, 60, 20
SMALL = RetrievalConfig(above=ITEMS - 1, count=200, narrow=200, sample=500)
NOBODY = UserState.empty()
# Half a year after every item was published.
LATER = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    direction = np.eye(16)[0].tolist()
    brain = Brain(
        tiny.identity_tower(12),
        20,
        QueryCard(kind="onnx", mix=QueryMix(), max_tokens=16),
        tiny.constant_encoder(direction),
        tiny.tokenizer(),
    )
    payload(Shape(ITEMS, USERS, dim=12, factors=8, text=16), brain, SMALL).save(folder)
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
    """Of twenty places, on average; a query is a direction, or the title of an item."""
    offered = np.flatnonzero(large.catalogue.items[c.AVAILABLE].to_numpy())
    asked = large.catalogue.items[c.TITLE][int(offered[0])] if query == "title" else query
    shares = []
    for user in range(30):
        request = Request(large.states.of(f"u{user}"), k=K, at=LATER, query=asked)
        wanted = ids(exact.recommend(request))
        found = ids(large.recommend(request))
        assert query != "title" or found[0] == wanted[0]
        shares.append(recall(found, wanted))
    assert np.mean(shares) >= 0.95


def test_a_contribution_means_the_same_as_where_everything_is_scored(large, exact) -> None:
    request = Request(large.states.of("u3"), k=5)
    wanted = {item.item_id: item for item in exact.recommend(replace(request, k=50))}
    for item in large.recommend(request):
        expected = wanted[item.item_id].contributions
        assert item.contributions == pytest.approx(expected, rel=0.15, abs=0.1)


def test_many_requests_are_ranked_as_each_is(large) -> None:
    requests = [Request(large.states.of(f"u{user}"), k=K, at=LATER) for user in range(5)]
    ranked, _ = large.rank(requests)
    apart = [ids(large.recommend(request)) for request in requests]
    assert [[large.catalogue.ids[row] for row in rows] for rows in ranked] == apart


def test_similar_and_popular_items_too(large, exact) -> None:
    request = Request(NOBODY, k=K, at=LATER)
    assert ids(large.popular(request)) == ids(exact.popular(request))
    assert ids(large.popular(request, trend(0))) == ids(exact.popular(request, trend(0)))
    shares = []
    for item in ("i5", "i50", "i500"):
        found = ids(large.similar(item, request))
        assert item not in found
        shares.append(recall(found, ids(exact.similar(item, request))))
    assert np.mean(shares) >= 0.9
    with pytest.raises(UnknownItemError):
        large.similar("nothing", request)


def test_nobody_gets_what_is_popular(large, exact) -> None:
    request = Request(NOBODY, k=5, at=LATER)
    assert ids(large.recommend(request)) == ids(exact.recommend(request))


def test_a_filter_that_leaves_few_is_scored_as_a_whole(large, exact) -> None:
    """A topic has about a hundred items, each is scored, and a sample says how channels are weighed."""
    topic = large.catalogue.items[c.CATEGORIES][0][1]
    request = Request(
        large.states.of("u1"), k=K, at=LATER, categories=frozenset({topic}), explain=True
    )
    found = large.recommend(request)
    assert recall(ids(found), ids(exact.recommend(request))) >= 0.9
    assert len(found) == K
    assert found[0].reasons


@pytest.mark.parametrize("left", [5, 300])
def test_whoever_has_seen_nearly_all_still_gets_a_list(large, left) -> None:
    """No channel names what is left: 5 of them, or 300, more than a filter's few."""
    rows = np.arange(ITEMS - left)
    request = Request(UserState(NOBODY.past, rows, rows[:0]), k=10)
    found = large.recommend(request)
    assert len(found) == min(10, left)
    assert not set(ids(found)) & {f"i{row}" for row in rows}
    only = Where(only=frozenset(f"i{row}" for row in range(ITEMS - 250, ITEMS)))
    assert len(large.recommend(replace(request, where=only))) == min(10, left)


def test_what_a_boost_or_a_quota_is_about_is_among_the_candidates(large, exact) -> None:
    rules = Rules(
        boosts=(Boost(item_id="i77", add=100),), quotas=(Quota(category="d3", at_least=3),)
    )
    request = Request(large.states.of("u2"), k=K, shape=ListShape(rules=rules))
    found = ids(large.recommend(request))
    assert found[0] == "i77"
    rows = large.catalogue.rows(found)
    assert sum("d3" in large.catalogue.items[c.CATEGORIES][int(row)] for row in rows) >= 3
    diverse = Request(large.states.of("u2"), k=K, shape=ListShape(diversity=0.3))
    assert recall(ids(large.recommend(diverse)), ids(exact.recommend(diverse))) >= 0.8


class Read:
    """An encoder of items told live: where their text says."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors

    def encode(self, query: str) -> np.ndarray:
        return self._vectors.get(query, np.zeros(16, np.float32))

    passage = encode


def test_new_items_are_found_by_text_by_title_and_by_their_like(large) -> None:
    """A new item with the text of a known one is worth what that one's neighbours are worth."""
    known = large.recommend(Request(large.states.of("u4"), k=1))[0].item_id
    row = large.catalogue.rows([known])[0]
    vector = large.query.searched.vector(int(row))
    side = large.query.read_by(Read({"Zanzibar": vector, "like it": vector}))
    base = large.over(offer=large.offer, query=side)
    overlay = settled(told(Overlay.over(base), film("new", title="Zanzibar", categories=("d3",))))
    served = overlay.recommender
    assert "new" in ids(served.recommend(Request(NOBODY, k=10, query="like it")))
    assert ids(served.recommend(Request(NOBODY, k=1, query="zanzibar"))) == ["new"]
    assert "new" in ids(served.recommend(Request(large.states.of("u4"), k=100)))
    assert "new" in ids(served.similar(known, Request(NOBODY, k=100)))
    assert known in ids(served.similar("new", Request(NOBODY, k=10)))
    seen = UserState.empty().after([("new", "click", 0.0)], served.catalogue)
    assert len(served.recommend(Request(seen, k=10))) == 10
    anew = settled(told(overlay, film("i9", title="Zanzibar", text="once more")))
    assert "i9" in ids(anew.recommender.recommend(Request(NOBODY, k=2, query="zanzibar")))
    without = told(overlay, gone("new")).recommender
    assert "new" not in ids(without.recommend(Request(NOBODY, k=10, query="like it")))


WHERE = st.builds(
    Where,
    attributes=st.just({}) | st.just({"language": ("en", "fr")}),
    ranges=st.just({}) | st.just({"price": (5.0, 30.0)}),
    only=st.none() | st.frozensets(st.integers(0, ITEMS).map(lambda row: f"i{row}"), max_size=40),
)


@settings(max_examples=60)
@given(
    user=st.integers(0, USERS),
    exclude=st.lists(st.integers(0, ITEMS).map(lambda row: f"i{row}"), max_size=30),
    categories=st.frozensets(st.integers(0, 12).map(lambda number: f"d{number}"), max_size=3),
    where=WHERE,
    query=st.sampled_from([None, "anything"]),
    diversity=st.sampled_from([0.0, 0.5]),
    k=st.integers(1, 100),
)
def test_nothing_forbidden_leaves_and_k_do(
    large, user, exclude, categories, where, query, diversity, k
) -> None:
    state = large.states.of(f"u{user}")
    request = Request(
        state,
        k=k,
        query=query,
        exclude=tuple(exclude),
        categories=categories,
        where=where,
        at=LATER,
        shape=ListShape(diversity=diversity),
    )
    items, found = large.catalogue.items, large.recommend(request)
    fine = np.ones(ITEMS, bool)
    fine[state.seen] = False
    fine[large.catalogue.rows(exclude)] = False
    fine &= items[c.AVAILABLE].to_numpy()
    if categories:
        fine &= [bool(categories & set(own)) for own in items[c.CATEGORIES]]
    fine &= where.met(large.catalogue, large.offer)
    assert len({item.item_id for item in found}) == len(found) == min(k, fine.sum())
    assert fine[large.catalogue.rows(ids(found))].all()


def test_the_found_count_once_and_the_sample_stands_for_the_rest() -> None:
    """Six of eight are known; 0 and 7 are found, 2 and 5 drawn: these two stand for five."""
    known = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
    part = Sample(np.array([2, 5]), known).around(np.array([7, 0, 8]))
    assert part.rows.tolist() == [0, 2, 5, 7, 8]
    assert part.counted.tolist() == [1, 2.5, 2.5, 1, 1]
    assert part.places(np.array([5, 1, 0, 9])).tolist() == [2, -1, 0, -1]
    assert part.below(7).rows.tolist() == [0, 2, 5]
    assert EVERYTHING.places(np.array([5, 1])).tolist() == [5, 1]
    drawn = Sample.draw(known, 4, seed=0)
    assert known[drawn.rows].all()
    assert len(np.unique(drawn.rows)) == 4


def test_a_sketch_guesses_what_a_mix_says_of_others() -> None:
    """Two tastes seen through two matrices; a mix wants the first taste and not the second.

    One scored item stands out for another reason, and counts for itself alone.
    """
    rng = np.random.default_rng(0)
    tastes = rng.normal(size=(2_000, 2)).astype(np.float32)
    seen = [tastes @ rng.normal(size=(2, width)).astype(np.float32) for width in (6, 9)]
    sketch = Sketch.draw([seen[0], 100 * seen[1].astype(np.float16)], np.arange(300))
    mix = tastes @ np.array([1, -1], np.float32)
    scope = Part(np.arange(200), np.where(np.arange(200) == 7, 1, 10).astype(np.float32))
    scores = mix[:200] + 5 * (np.arange(200) == 7)
    others = np.arange(200, 2_100)  # the last hundred are live, and have no numbers
    found = sketch.likely(scope, scores, others, 20)
    assert recall(found.tolist(), (200 + np.argsort(-mix[200:])[:10]).tolist()) == 1
    assert len(sketch.likely(scope, scores, others, 5_000)) == 1_800


@pytest.mark.parametrize("query", [None, "anything"])
def test_a_filter_that_leaves_many_is_not_what_people_like_and_yet_served(
    large, exact, query
) -> None:
    """Of four departments of forty, some 400 items, the sixty likeliest are scored."""
    config = large.retrieval.config.model_copy(update={"narrow": 50, "likely": 60, "count": 50})
    narrow = large.over(offer=large.offer)
    narrow.retrieval = replace(large.retrieval, config=config)
    shares = []
    for user in range(20):
        categories = frozenset(f"d{(user + n) % 40}" for n in range(4))
        request = Request(large.states.of(f"u{user}"), k=10, categories=categories, query=query)
        found = ids(narrow.recommend(request))
        shares.append(recall(found, ids(exact.recommend(request))))
    assert np.mean(shares) >= 0.9


def test_among_many_that_meet_a_filter_a_live_item_is_found_by_its_like(large) -> None:
    """No sketch knows it; it has the text of what the user would get first."""
    config = large.retrieval.config.model_copy(update={"narrow": 50, "likely": 60, "count": 50})
    wanted = Request(large.states.of("u4"), k=100, categories=frozenset({"d3", "d4", "d5"}))
    first = large.recommend(wanted)[0].item_id
    vector = large.query.searched.vector(int(large.catalogue.rows([first])[0]))
    base = large.over(offer=large.offer, query=large.query.read_by(Read({"like it": vector})))
    base.retrieval = replace(large.retrieval, config=config)
    here = film("here", title="like it", categories=("d4",))
    elsewhere = film("elsewhere", title="like it", categories=("d9",))
    found = ids(settled(told(Overlay.over(base), here, elsewhere)).recommender.recommend(wanted))
    assert "here" in found
    assert "elsewhere" not in found


def test_weights_count_items_as_often_as_they_say() -> None:
    """1, 1, 1 and 5, in short: mean 2, spread √3."""
    short = standardise(np.array([[1, 5, 9]], np.float32), np.array([3, 1, 0], np.float32))
    assert short[0] == pytest.approx([-1 / np.sqrt(3), np.sqrt(3), 0])


def test_what_all_is_counted_of_is_what_all_have(large, exact) -> None:
    """A scope of every item, each counted once, scores as everything does."""
    asked = large._asked([Request(large.states.of("u1"))])
    scope = Part(np.arange(ITEMS), np.ones(ITEMS, np.float32))
    everything = exact.blend.score(asked)
    part = large.blend.score(replace(asked, scope=scope))
    known = large.blend.newcomers.known
    np.testing.assert_allclose(part[:, known], everything[:, known], atol=2e-3)


@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1))
def test_half_precision_is_widened_to_the_bit(numbers) -> None:
    halves = np.array(numbers, np.float16)
    assert widened(halves).tobytes() == halves.astype(np.float32).tobytes()


def test_titles_come_back_from_arrays(tmp_path) -> None:
    titles = ["Toy Story", "Story of a toy", None, "Élite"]
    index = TitleIndex(titles)
    save_file(index.packed(), tmp_path / "titles.safetensors")
    again = TitleIndex.unpacked(mapped(tmp_path / "titles.safetensors"))
    for query in ("toy story", "elite", "a tale"):
        assert again.match(query).tolist() == index.match(query).tolist()
    assert again.find("toy", 1).tolist() == [0]
    assert sorted(again.find("toy", 9).tolist()) == [0, 1]
    assert not len(again.find("nothing", 9))


def test_tensors_are_left_on_disk(packaged, folder) -> None:
    for name in ("vectors", "text", "factors", "counts"):
        array = getattr(packaged, name)
        assert not array.flags.owndata
        assert not array.flags.writeable
    assert packaged.text.dtype == np.float16
    with pytest.raises(OSError, match="nowhere"):
        mapped(folder / "nowhere")


def test_a_small_catalogue_has_no_indexes(packaged, tmp_path) -> None:
    card = packaged.card.model_copy(update={"retrieval": RetrievalConfig()})
    replace(packaged, card=card).save(tmp_path)
    assert not tmp_path.joinpath(INDEXES).exists()
    assert Payload.load(tmp_path).recommender().retrieval is None


@pytest.mark.parametrize("name", ["vectors.usearch", "lookup.safetensors"])
def test_a_damaged_index_is_refused(packaged, tmp_path, name) -> None:
    lineage = Lineage(
        git_commit="",
        git_ref="",
        data_version="",
        model_hash="",
        validation={},
        metrics={},
        params={},
    )
    model = tmp_path / PAYLOAD
    model.mkdir()
    packaged.save(model)
    seal(tmp_path, "v1", lineage)
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
    assert large.popular(Request(NOBODY, k=3), "trend-9") == []
    found = large.popular(Request(NOBODY, k=3))
    assert [item.contributions[POPULARITY] for item in found] == [item.score for item in found]
