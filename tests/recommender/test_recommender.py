"""Recommender over a model of five films: histories, filters, channels and files."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop import columns as c
from recloop.columns import Event
from recloop.data.catalogue import Catalogue
from recloop.data.contract import conform_interactions
from recloop.data.frame_schemas import TIMESTAMP_TYPE
from recloop.data.user_sequences import EVENT_CODES
from recloop.recommender.history import UserHistory
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.registry.payload import Payload
from recloop.registry.user_table import user_table
from recloop.scoring.blend import QUERY, SASREC
from tests.support.tiny_model import IDS, items

CATALOGUE = Catalogue(items())
NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def recommender(payload) -> Recommender:
    return payload.recommender()


def state(*events: tuple[str, str]) -> UserHistory:
    return UserHistory.empty().updated_with(at_unknown_times(events), CATALOGUE)


def at_unknown_times(events) -> list[tuple[str, str, float]]:
    return [(item, event, np.nan) for item, event in events]


def shown(recommender: Recommender, request: Request) -> list[str]:
    return [item.item_id for item in recommender.recommend(request)]


def test_the_newest_event_decides(recommender) -> None:
    east, north = state(("east1", "click")), state(("north1", "click"))
    assert shown(recommender, Request(east, k=1)) == ["east2"]
    assert shown(recommender, Request(north, k=1)) == ["north2"]
    both = state(("east1", "click"), ("north1", "click"))
    assert shown(recommender, Request(both, k=1)) == ["north2"]  # the newest decides


def test_a_user_without_history_gets_popular_items(recommender) -> None:
    assert shown(recommender, Request(UserHistory.empty(), k=5)) == IDS


def test_a_query_changes_the_list(recommender) -> None:
    request = Request(state(("east1", "click")), k=2, query="up there")
    found = recommender.recommend(request)
    assert {item.item_id for item in found} == {"north1", "north2"}
    assert found[0].contributions[QUERY] > found[0].contributions[SASREC]


def test_seen_excluded_filtered_and_unavailable_items_are_left_out(payload) -> None:
    gone = payload.items.with_columns((pl.col(c.ITEM) != "both").alias(c.AVAILABLE))
    recommender = replace(payload, items=gone).recommender()
    request = Request(state(("east1", "hide")), exclude=("north1", "no such item"), time=NOW)
    assert shown(recommender, request) == ["east2", "north2"]
    only = Request(UserHistory.empty(), categories=frozenset({"north"}))
    assert shown(recommender, only) == ["north1", "north2"]


def test_items_are_recommended_between_publication_and_expiry(payload) -> None:
    later, earlier = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    dated = payload.items.with_columns(
        pl.when(pl.col(c.ITEM) == "east1").then(later).cast(TIMESTAMP_TYPE).alias(c.PUBLISHED),
        pl.when(pl.col(c.ITEM) == "east2").then(earlier).cast(TIMESTAMP_TYPE).alias(c.EXPIRES),
    )
    recommender = replace(payload, items=dated).recommender()
    assert shown(recommender, Request(UserHistory.empty(), time=NOW)) == [
        "north1",
        "north2",
        "both",
    ]
    assert "east1" in shown(
        recommender, Request(UserHistory.empty(), time=NOW + timedelta(hours=2))
    )


def test_packaged_histories_and_newer_events_are_joined(recommender) -> None:
    eve = recommender.histories.get("eve")
    assert eve.positive.rows.tolist() == [0]
    later = eve.updated_with([("north1", "rating", 130.0), ("east1", "click", 131.0)], CATALOGUE)
    assert later.positive.rows.tolist() == [0, 2, 0]
    assert later.positive.times.tolist() == [100, 130, 131]
    assert later.positive.events.tolist() == [EVENT_CODES[e] for e in ("click", "rating", "click")]
    assert later.seen.tolist() == [2, 0]
    assert recommender.histories.get("nobody").positive.rows.tolist() == []


def test_only_positive_events_are_history_and_impressions_are_ignored() -> None:
    met = state(
        ("east1", "impression"), ("east2", "hide"), ("north1", "play"), ("unknown", "click")
    )
    assert met.positive.rows.tolist() == [2]
    assert met.seen.tolist() == [1, 2]


def test_a_repeated_item_has_its_last_position(recommender) -> None:
    again = state(("east1", "click"), ("north1", "click"), ("east1", "click"))
    once = state(("north1", "click"), ("east1", "click"))
    assert shown(recommender, Request(again)) == shown(recommender, Request(once))


def test_with_repeats_bought_items_are_recommended(payload) -> None:
    weights = payload.config.weights.model_copy(update={"channels": {"repeat-1.0": 1.0}})
    config = payload.config.model_copy(update={"repeats": True, "weights": weights})
    shop = replace(payload, config=config).recommender()
    bought = state(("north1", "purchase"), ("both", "purchase"), ("north1", "purchase"))
    assert shown(shop, Request(bought, k=2)) == ["north1", "both"]
    excluded = Request(bought, k=1, exclude=("north1",))
    assert shown(shop, excluded) == ["both"]


def test_ranking_a_batch_equals_ranking_each_request(recommender) -> None:
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
def test_no_forbidden_item_is_recommended(
    recommender, events, exclude, categories, query, k
) -> None:
    request = Request(
        state(*events), k=k, query=query, exclude=tuple(exclude), categories=frozenset(categories)
    )
    found = shown(recommender, request)
    met = {item for item, event in events if event != Event.IMPRESSION}
    assert not set(found) & (met | set(exclude))
    assert all(not categories or item.rstrip("12") in categories for item in found)
    assert len(found) == len(set(found)) <= k


def test_a_payload_is_read_as_written(payload, tmp_path) -> None:
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


def test_the_user_table_has_histories_in_order_and_seen_items() -> None:
    rows = user_table(INTERACTIONS, CATALOGUE).rows()
    click, play = EVENT_CODES["click"], EVENT_CODES["play"]
    assert rows == [
        ("a", [0, 0], [1.0, 3.0], [click, click], [1, 0], [1]),
        ("b", [2], [4.0], [play], [2], []),
    ]
    disliked = INTERACTIONS.with_columns(pl.lit("hide").alias(c.EVENT))
    liked_nothing: tuple[list[int], ...] = ([], [], [])
    assert user_table(disliked, CATALOGUE).rows() == [
        ("a", *liked_nothing, [1, 0], [1, 0]),
        ("b", *liked_nothing, [2], [2]),
    ]


def test_texts_are_title_and_text() -> None:
    described = items().with_columns(
        pl.when(pl.col(c.ITEM) == "both").then(pl.lit("About all.")).alias(c.TEXT)
    )
    assert Catalogue(described).texts()[-2:] == ["Film north2", "Film both. About all."]
    assert CATALOGUE.rows(["both", "x"]).dtype == np.int64
