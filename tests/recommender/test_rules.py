"""Filters hold on every path; boosts, quotas, diversity, calibration and explanations."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloop import columns as c
from recloop.recommender.history import UserHistory
from recloop.recommender.items.filter_conditions import FilterConditions
from recloop.recommender.lists.boosts_and_quotas import ListRules
from recloop.recommender.lists.diversity import MarginalUtility
from recloop.recommender.lists.exploration import EpsilonGreedy, Greedy, Softmax, Thompson
from recloop.recommender.lists.list_builder import DEFAULT_OPTIONS, ListOptions
from recloop.recommender.live_catalogue import LiveCatalogue
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.schemas.rules import Boost, Quota
from tests.support import tiny_model
from tests.support.toy_recommender import (
    NOW,
    film,
    gone,
    recommender,
    with_all_encoded,
    with_changes_of,
)

NAMES = [*tiny_model.IDS, "east3", "north3"]
CATEGORIES = ["east", "north", "both"]
PRICES = st.none() | st.integers(1, 4)


def films(names):
    """Return a strategy of changed films, available or not."""
    dates = st.sampled_from([None, NOW - timedelta(days=2), NOW, NOW + timedelta(days=2)])
    return st.lists(
        st.builds(
            film,
            names,
            attributes=PRICES.map(lambda price: json.dumps({"price": price, "new": price == 1})),
            published_at=dates,
            expires_at=dates,
            available=st.booleans(),
        )
        | st.builds(gone, names),
        max_size=6,
    )


POLICIES = (
    st.just(Greedy())
    | st.builds(EpsilonGreedy, kind=st.just("epsilon-greedy"), epsilon=st.floats(0, 1))
    | st.builds(Softmax, kind=st.just("softmax"), temperature=st.floats(0.1, 10))
    | st.just(Thompson(kind="thompson"))
)
BOOSTS = st.builds(Boost, category=st.sampled_from(CATEGORIES), add=st.floats(-1000, 1000)) | (
    st.builds(Boost, item_id=st.sampled_from(NAMES), factor=st.floats(1e-6, 1e6))
)
QUOTAS = st.builds(
    Quota, category=st.sampled_from(CATEGORIES), at_least=st.integers(0, 2), at_most=st.just(2)
)
SHAPES = st.builds(
    ListOptions,
    rules=st.builds(
        ListRules,
        boosts=st.lists(BOOSTS, max_size=2).map(tuple),
        quotas=st.lists(QUOTAS, max_size=2).map(tuple),
    ),
    diversity=st.sampled_from([0.0, 0.5, 1.0]),
    calibration=st.sampled_from([0.0, 0.5, 1.0]),
    policy=POLICIES,
    seed=st.integers(0, 9),
)
ATTRIBUTES = st.sampled_from([{"price": (1, 2)}, {"new": (True,)}, {"none": ("x",)}])
RANGES = st.sampled_from([{"price": (2, None)}, {"price": (None, 3)}])
DATES = st.sampled_from([(None, NOW), (NOW - timedelta(days=1), None)])
ONLY = st.frozensets(st.sampled_from(NAMES), min_size=2)
# Mostly few conditions: with too many, hardly any item remains that could violate them.
WHERES = (
    st.just(FilterConditions())
    | st.builds(FilterConditions, only=ONLY)
    | st.builds(FilterConditions, attributes=ATTRIBUTES)
    | st.builds(FilterConditions, ranges=RANGES)
    | st.builds(FilterConditions, published=DATES)
    | st.builds(FilterConditions, attributes=ATTRIBUTES, ranges=RANGES, published=DATES, only=ONLY)
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(tiny_model.IDS),
        st.sampled_from(["click", "hide", "dislike"]),
        st.just(np.nan),
    ),
    max_size=4,
)
REQUESTS = st.fixed_dictionaries(
    {
        "k": st.integers(1, 8),
        "query": st.sampled_from([None, "north", "film east1"]),
        "exclude": st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        "categories": st.just(frozenset()) | st.frozensets(st.sampled_from(CATEGORIES), max_size=2),
        "time": st.sampled_from([NOW, NOW, None]),
        "conditions": WHERES,
        "options": SHAPES,
        "explain": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def bases() -> dict[bool, Recommender]:
    """Return recommenders without and with repeats."""
    again = tiny_model.payload().config.model_copy(update={"repeats": True})
    return {False: recommender(), True: recommender(replace(tiny_model.payload(), config=again))}


def allowed(options: Request, events, live, *, repeats: bool) -> set[str]:
    """Return the allowed items by a second, simple implementation of the rules."""
    items = {name: film(name) for name in tiny_model.IDS} | {item.item_id: item for item in live}
    met = {name for name, event, _ in events if event == "hide" or not repeats}
    return {
        name
        for name, item in items.items()
        if not item.deleted
        and name not in met
        and name not in options.exclude
        and _fits(item, options)
    }


def _fits(item, options: Request) -> bool:
    attributes, where = json.loads(item.attributes or "{}"), options.conditions
    price, published = attributes.get("price"), item.published_at
    first, last = where.published
    on_offer = (
        item.available
        and (published is None or published <= NOW)
        and (item.expires_at is None or item.expires_at > NOW)
    )
    return (
        (on_offer or options.time is None)
        and (not options.categories or bool(options.categories & set(item.categories)))
        and (where.only is None or item.item_id in where.only)
        and all(attributes.get(name) in values for name, values in where.attributes.items())
        and all(
            price is not None and (low or 0) <= price <= (high or 9)
            for low, high in where.ranges.values()
        )
        and (first is None or (published is not None and published >= first))
        and (last is None or (published is not None and published <= last))
    )


@pytest.mark.slow
@settings(max_examples=300)
@given(
    live=films(st.sampled_from(NAMES)),
    events=EVENTS,
    facts=REQUESTS,
    repeats=st.booleans(),
)
def test_no_filtered_item_is_recommended_on_any_path(bases, live, events, facts, repeats) -> None:
    overlay = with_all_encoded(
        with_changes_of(LiveCatalogue.from_recommender(bases[repeats]), *live)
    )
    served = overlay.recommender
    options = Request(UserHistory.empty().updated_with(events, served.catalogue), **facts)
    may = allowed(options, events, live, repeats=repeats)
    found = served.recommend(options)
    paths = [found, served.popular(options)]
    if not served.availability.deleted[0]:
        paths.append(served.similar("east1", options))
    for path in paths:
        names = [item.item_id for item in path]
        assert set(names) <= may
        assert len(names) == len(set(names)) <= options.k
    assert all(0 < item.propensity <= 1 + 1e-9 for item in found)
    for quota in options.options.rules.quotas:
        inside = [item for item in found if item.item_id.rstrip("123") == quota.category]
        assert len(inside) <= 2
    if not options.options.rules.quotas:
        assert len(found) == min(options.k, len(may))


def lists(served: Recommender, shape: ListOptions = DEFAULT_OPTIONS, **options: Any) -> list[str]:
    fields: dict[str, Any] = {"k": 5, "options": shape, **options}
    request = Request(UserHistory.empty(), **fields)
    return [item.item_id for item in served.recommend(request)]


def clicked(served: Recommender, *names: str) -> UserHistory:
    return UserHistory.empty().updated_with(
        [(name, "click", np.nan) for name in names], served.catalogue
    )


def test_a_boost_raises_a_category_an_attribute_or_an_item(bases) -> None:
    base = bases[False]
    north = ListRules(boosts=(Boost(category="north", add=10),))
    assert lists(base, ListOptions(rules=north))[:2] == ["north1", "north2"]
    both = ListRules(boosts=(Boost(item_id="both", factor=1e6),))
    assert lists(base, ListOptions(rules=both))[0] == "both"
    served = with_changes_of(
        LiveCatalogue.from_recommender(base), film("north2", attributes='{"tags": ["sale", 1]}')
    ).recommender
    sale = ListRules(boosts=(Boost(attribute="tags", value="sale", add=10),))
    assert lists(served, ListOptions(rules=sale))[0] == "north2"
    assert Boost(item_id="both", factor=2).score_delta == pytest.approx(0.6931, abs=1e-4)
    assert Boost(item_id="both", factor=0.5).score_delta == pytest.approx(-0.6931, abs=1e-4)


def test_quotas_limit_and_guarantee_items_of_a_category(bases) -> None:
    few = ListRules(quotas=(Quota(category="east", at_most=1),))
    assert lists(bases[False], ListOptions(rules=few)) == ["east1", "north1", "north2", "both"]
    some = ListRules(quotas=(Quota(category="both", at_least=1),))
    assert lists(bases[False], ListOptions(rules=some), k=2) == ["east1", "both"]


def test_filters_distinguish_numbers_from_booleans_and_match_lists(payload) -> None:
    attributes = ['{"n": 1}', '{"n": true}', '{"n": "1"}', '{"n": [2, 1.0]}', "no JSON"]
    items = payload.items.with_columns(pl.Series(c.ATTRIBUTES, attributes))
    served = replace(payload, items=items).recommender()
    for value, expected in ((1, ["east1", "north2"]), (True, ["east2"]), ("1", ["north1"])):
        assert lists(served, conditions=FilterConditions(attributes={"n": (value,)})) == expected
    assert lists(served, conditions=FilterConditions(ranges={"n": (2, 2)})) == ["north2"]


def test_diversity_one_selects_dissimilar_items_and_zero_the_best_scores(bases) -> None:
    base = bases[False]
    assert lists(base) == tiny_model.IDS
    assert lists(base, ListOptions(diversity=1.0), k=2) == ["east1", "north1"]
    assert lists(base, ListOptions(diversity=1e-9)) == tiny_model.IDS  # the path of re-ranking


def test_calibration_keeps_the_proportions_of_the_history() -> None:
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    useful = MarginalUtility(
        scores,
        calibration=0.9,
        categories=[["a"], ["a"], ["b"], ["b"]],
        history_categories=[["a"], ["b"]],
    )
    first = int(useful.given(np.empty(0, np.int64)).argmax())
    assert first == 0
    assert int(useful.given(np.array([first])).argmax()) == 2  # half a, half b


def test_explanations_name_the_reasons_of_an_item(bases) -> None:
    base = bases[False]
    popular = base.recommend(Request(UserHistory.empty(), k=1, explain=True))[0]
    assert [reason.code for reason in popular.reasons] == ["popular"]
    liked = base.recommend(Request(clicked(base, "north1", "east1"), k=1, explain=True))[0]
    (reason, *_) = liked.reasons
    assert (liked.item_id, reason.code, reason.item_id) == ("east2", "history", "east1")
    assert reason.text == "Because you looked at Film east1"
    options = Request(UserHistory.empty(), k=1, query="north", explain=True)
    assert "query" in {reason.code for reason in base.recommend(options)[0].reasons}


def test_live_attributes_replace_packaged_ones(bases) -> None:
    served = with_changes_of(
        LiveCatalogue.from_recommender(bases[False]), film("east1", categories=("north",))
    ).recommender
    assert lists(served, categories=frozenset({"east"})) == ["east2"]
    assert lists(served, categories=frozenset({"north"})) == ["east1", "north1", "north2"]
