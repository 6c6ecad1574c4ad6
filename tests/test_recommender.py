"""The scoring path: states, rules, channels, on the model of five films."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import IDS, items

from recloop import columns as c
from recloop.columns import Event
from recloop.data.catalogue import Catalogue, counts
from recloop.data.contract import conform_interactions
from recloop.data.trail import EVENT_NUMBERS, walked
from recloop.models.blend import QUERY, SEQUENTIAL
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.state import UserState
from recloop.registry.payload import Payload
from recloop.registry.users import user_table

CATALOGUE = Catalogue(items())
NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def recommender(payload) -> Recommender:
    return payload.recommender()


def state(*events: tuple[str, str]) -> UserState:
    return UserState.empty().after(at_unknown_times(events), CATALOGUE)


def at_unknown_times(events) -> list[tuple[str, str, float]]:
    return [(item, event, np.nan) for item, event in events]


def shown(recommender: Recommender, request: Request) -> list[str]:
    return [item.item_id for item in recommender.recommend(request)]


def test_what_was_just_done_leads(recommender) -> None:
    east, north = state(("east1", "click")), state(("north1", "click"))
    assert shown(recommender, Request(east, k=1)) == ["east2"]
    assert shown(recommender, Request(north, k=1)) == ["north2"]
    both = state(("east1", "click"), ("north1", "click"))
    assert shown(recommender, Request(both, k=1)) == ["north2"]  # the newest decides


def test_nobody_gets_what_is_popular(recommender) -> None:
    assert shown(recommender, Request(UserState.empty(), k=5)) == IDS


def test_a_query_moves_the_list(recommender) -> None:
    request = Request(state(("east1", "click")), k=2, query="up there")
    found = recommender.recommend(request)
    assert {item.item_id for item in found} == {"north1", "north2"}
    assert found[0].contributions[QUERY] > found[0].contributions[SEQUENTIAL]


def test_rules_leave_out_seen_excluded_filtered_and_unavailable(payload) -> None:
    gone = payload.items.with_columns((pl.col(c.ITEM) != "both").alias(c.AVAILABLE))
    recommender = replace(payload, items=gone).recommender()
    request = Request(state(("east1", "hide")), exclude=("north1", "no such item"), at=NOW)
    assert shown(recommender, request) == ["east2", "north2"]
    only = Request(UserState.empty(), categories=frozenset({"north"}))
    assert shown(recommender, only) == ["north1", "north2"]


def test_items_are_offered_between_publication_and_expiry(payload) -> None:
    later, earlier = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    dated = payload.items.with_columns(
        pl.when(pl.col(c.ITEM) == "east1").then(later).cast(c.TIMESTAMP_TYPE).alias(c.PUBLISHED),
        pl.when(pl.col(c.ITEM) == "east2").then(earlier).cast(c.TIMESTAMP_TYPE).alias(c.EXPIRES),
    )
    recommender = replace(payload, items=dated).recommender()
    assert shown(recommender, Request(UserState.empty(), at=NOW)) == ["north1", "north2", "both"]
    assert "east1" in shown(recommender, Request(UserState.empty(), at=NOW + timedelta(hours=2)))


def test_packaged_state_and_newer_events_join(recommender) -> None:
    eve = recommender.states.of("eve")
    assert eve.past.rows.tolist() == [0]
    later = eve.after([("north1", "rating", 130.0), ("east1", "click", 131.0)], CATALOGUE)
    assert later.past.rows.tolist() == [0, 2, 0]
    assert later.past.times.tolist() == [100, 130, 131]
    assert later.past.events.tolist() == [EVENT_NUMBERS[e] for e in ("click", "rating", "click")]
    assert later.seen.tolist() == [2, 0]
    assert recommender.states.of("nobody").past.rows.tolist() == []


def test_only_positive_events_make_history_and_impressions_nothing() -> None:
    met = state(
        ("east1", "impression"), ("east2", "hide"), ("north1", "play"), ("unknown", "click")
    )
    assert met.past.rows.tolist() == [2]
    assert met.seen.tolist() == [1, 2]


def test_a_repeat_counts_where_it_happened_last(recommender) -> None:
    again = state(("east1", "click"), ("north1", "click"), ("east1", "click"))
    once = state(("north1", "click"), ("east1", "click"))
    assert shown(recommender, Request(again)) == shown(recommender, Request(once))


def test_where_repeats_are_allowed_what_was_bought_comes_back(payload) -> None:
    weights = payload.card.weights.model_copy(update={"channels": {"repeat-1.0": 1.0}})
    card = payload.card.model_copy(update={"repeats": True, "weights": weights})
    shop = replace(payload, card=card).recommender()
    bought = state(("north1", "purchase"), ("both", "purchase"), ("north1", "purchase"))
    assert shown(shop, Request(bought, k=2)) == ["north1", "both"]
    excluded = Request(bought, k=1, exclude=("north1",))
    assert shown(shop, excluded) == ["both"]


def test_ranking_many_is_ranking_each(recommender) -> None:
    requests = [Request(state((item, "click")), k=3) for item in IDS]
    together, _ = recommender.rank(requests)
    apart = [shown(recommender, request) for request in requests]
    assert [[IDS[row] for row in rows] for rows in together] == apart


@given(
    events=st.lists(
        st.tuples(st.sampled_from([*IDS, "x"]), st.sampled_from(list(Event))), max_size=8
    ),
    exclude=st.lists(st.sampled_from([*IDS, "x"]), max_size=5),
    categories=st.sets(st.sampled_from(["east", "north", "both", "x"])),
    query=st.sampled_from([None, "a film", "电影 😀"]),
    k=st.integers(1, 100),
)
def test_no_forbidden_item_ever_leaves(recommender, events, exclude, categories, query, k) -> None:
    request = Request(
        state(*events), k=k, query=query, exclude=tuple(exclude), categories=frozenset(categories)
    )
    found = shown(recommender, request)
    met = {item for item, event in events if event != Event.IMPRESSION}
    assert not set(found) & (met | set(exclude))
    assert all(not categories or item.rstrip("12") in categories for item in found)
    assert len(found) == len(set(found)) <= k


def test_a_payload_comes_back_from_disk_as_it_was(payload, tmp_path) -> None:
    payload.save(tmp_path)
    request = Request(state(("east1", "click")), k=4, query="north")
    again = Payload.load(tmp_path).recommender()
    assert again.recommend(request) == payload.recommender().recommend(request)


INTERACTIONS = conform_interactions(
    pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "b", "b"],
            "item_id": ["east1", "east2", "east1", "north1", "x"],
            "timestamp": [1, 2, 3, 4, 5],
            "event": ["click", "hide", "click", "play", "click"],
        }
    )
).rows


def test_user_table_keeps_order_and_what_was_met() -> None:
    rows = user_table(INTERACTIONS, CATALOGUE).rows()
    click, play = EVENT_NUMBERS["click"], EVENT_NUMBERS["play"]
    assert rows == [
        ("a", [0, 0], [1.0, 3.0], [click, click], [1, 0], [1]),
        ("b", [2], [4.0], [play], [2], []),
    ]
    disliked = INTERACTIONS.with_columns(pl.lit("hide").alias(c.EVENT))
    liked_nothing = ([], [], [])
    assert user_table(disliked, CATALOGUE).rows() == [
        ("a", *liked_nothing, [1, 0], [1, 0]),
        ("b", *liked_nothing, [2], [2]),
    ]


def test_sequences_and_counts_see_positive_events_of_known_items() -> None:
    assert walked(INTERACTIONS, CATALOGUE) == []  # nobody liked two items of the catalogue
    assert counts(INTERACTIONS, CATALOGUE).tolist() == [1, 0, 1, 0, 0]
    more = pl.concat([INTERACTIONS, INTERACTIONS.with_columns(pl.lit("both").alias(c.ITEM))])
    found = walked(more, CATALOGUE, {c.Event.PLAY: 3.0})
    assert [trail.rows.tolist() for trail in found] == [[0, 4], [2, 4]]
    assert [trail.weights.tolist() for trail in found] == [[1, 1], [3, 3]]


def test_texts_are_title_and_text() -> None:
    described = items().with_columns(
        pl.when(pl.col(c.ITEM) == "both").then(pl.lit("About all.")).alias(c.TEXT)
    )
    assert Catalogue(described).texts()[-2:] == ["Film north2", "Film both. About all."]
    assert CATALOGUE.rows(["both", "x"]).dtype == np.int64
