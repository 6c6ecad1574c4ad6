"""Whatever is asked for, what must not leave does not leave; and how lists are shaped besides."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import tiny
from compass import NOW, film, gone, recommender, settled, told
from hypothesis import given, settings
from hypothesis import strategies as st

from recloop import columns as c
from recloop.recommender.diversity import Usefulness
from recloop.recommender.explore import EpsilonGreedy, Greedy, Softmax, Thompson
from recloop.recommender.filters import Where
from recloop.recommender.live import Overlay
from recloop.recommender.recommender import Recommender
from recloop.recommender.request import Request
from recloop.recommender.rules import Boost, Quota, Rules
from recloop.recommender.shape import PLAIN, Shape
from recloop.recommender.state import UserState

NAMES = [*tiny.IDS, "east3", "north3"]
CATEGORIES = ["east", "north", "both"]
PRICES = st.none() | st.integers(1, 4)


def films(names):
    """Films as the service may be told of them, on offer or not."""
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
    Shape,
    rules=st.builds(
        Rules,
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
# Mostly few conditions: where hardly anything is allowed, hardly anything can be found to leave.
WHERES = (
    st.just(Where())
    | st.builds(Where, only=ONLY)
    | st.builds(Where, attributes=ATTRIBUTES)
    | st.builds(Where, ranges=RANGES)
    | st.builds(Where, published=DATES)
    | st.builds(Where, attributes=ATTRIBUTES, ranges=RANGES, published=DATES, only=ONLY)
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(tiny.IDS), st.sampled_from(["click", "hide", "dislike"]), st.just(np.nan)
    ),
    max_size=4,
)
REQUESTS = st.fixed_dictionaries(
    {
        "k": st.integers(1, 8),
        "query": st.sampled_from([None, "north", "film east1"]),
        "exclude": st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        "categories": st.just(frozenset()) | st.frozensets(st.sampled_from(CATEGORIES), max_size=2),
        "at": st.sampled_from([NOW, NOW, None]),
        "where": WHERES,
        "shape": SHAPES,
        "explain": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def bases() -> dict[bool, Recommender]:
    """Without repeats, and with them."""
    again = tiny.payload().card.model_copy(update={"repeats": True})
    return {False: recommender(), True: recommender(replace(tiny.payload(), card=again))}


def allowed(asked: Request, events, live, *, repeats: bool) -> set[str]:
    """The rules once more, item by item, in the words of the promise."""
    items = {name: film(name) for name in tiny.IDS} | {item.item_id: item for item in live}
    met = {name for name, event, _ in events if event == "hide" or not repeats}
    return {
        name
        for name, item in items.items()
        if not item.deleted and name not in met and name not in asked.exclude and _fits(item, asked)
    }


def _fits(item, asked: Request) -> bool:
    attributes, where = json.loads(item.attributes or "{}"), asked.where
    price, published = attributes.get("price"), item.published_at
    first, last = where.published
    on_offer = (
        item.available
        and (published is None or published <= NOW)
        and (item.expires_at is None or item.expires_at > NOW)
    )
    return (
        (on_offer or asked.at is None)
        and (not asked.categories or bool(asked.categories & set(item.categories)))
        and (where.only is None or item.item_id in where.only)
        and all(attributes.get(name) in values for name, values in where.attributes.items())
        and all(
            price is not None and (low or 0) <= price <= (high or 9)
            for low, high in where.ranges.values()
        )
        and (first is None or (published is not None and published >= first))
        and (last is None or (published is not None and published <= last))
    )


@settings(max_examples=300)
@given(
    live=films(st.sampled_from(NAMES)),
    events=EVENTS,
    facts=REQUESTS,
    repeats=st.booleans(),
)
def test_what_must_not_leave_leaves_by_no_path(bases, live, events, facts, repeats) -> None:
    overlay = settled(told(Overlay.over(bases[repeats]), *live))
    served = overlay.recommender
    asked = Request(UserState.empty().after(events, served.catalogue), **facts)
    may = allowed(asked, events, live, repeats=repeats)
    found = served.recommend(asked)
    paths = [found, served.popular(asked)]
    if not served.offer.gone[0]:
        paths.append(served.similar("east1", asked))
    for path in paths:
        names = [item.item_id for item in path]
        assert set(names) <= may
        assert len(names) == len(set(names)) <= asked.k
    assert all(0 < item.propensity <= 1 + 1e-9 for item in found)
    for quota in asked.shape.rules.quotas:
        inside = [item for item in found if item.item_id.rstrip("123") == quota.category]
        assert len(inside) <= 2
    if not asked.shape.rules.quotas:
        assert len(found) == min(asked.k, len(may))


def lists(served: Recommender, shape: Shape = PLAIN, **asked: object) -> list[str]:
    request = Request(UserState.empty(), **{"k": 5, "shape": shape, **asked})
    return [item.item_id for item in served.recommend(request)]


def clicked(served: Recommender, *names: str) -> UserState:
    return UserState.empty().after([(name, "click", np.nan) for name in names], served.catalogue)


def test_a_boost_lifts_a_category_an_attribute_and_an_item(bases) -> None:
    base = bases[False]
    north = Rules(boosts=(Boost(category="north", add=10),))
    assert lists(base, Shape(rules=north))[:2] == ["north1", "north2"]
    both = Rules(boosts=(Boost(item_id="both", factor=1e6),))
    assert lists(base, Shape(rules=both))[0] == "both"
    served = told(
        Overlay.over(base), film("north2", attributes='{"tags": ["sale", 1]}')
    ).recommender
    sale = Rules(boosts=(Boost(attribute="tags", value="sale", add=10),))
    assert lists(served, Shape(rules=sale))[0] == "north2"
    assert Boost(item_id="both", factor=2).lift == pytest.approx(0.6931, abs=1e-4)
    assert Boost(item_id="both", factor=0.5).lift == pytest.approx(-0.6931, abs=1e-4)


def test_quotas_keep_some_out_and_bring_some_in(bases) -> None:
    few = Rules(quotas=(Quota(category="east", at_most=1),))
    assert lists(bases[False], Shape(rules=few)) == ["east1", "north1", "north2", "both"]
    some = Rules(quotas=(Quota(category="both", at_least=1),))
    assert lists(bases[False], Shape(rules=some), k=2) == ["east1", "both"]


def test_filters_tell_a_number_from_a_truth_and_look_into_lists(payload) -> None:
    said = ['{"n": 1}', '{"n": true}', '{"n": "1"}', '{"n": [2, 1.0]}', "no JSON"]
    items = payload.items.with_columns(pl.Series(c.ATTRIBUTES, said))
    served = replace(payload, items=items).recommender()
    for value, expected in ((1, ["east1", "north2"]), (True, ["east2"]), ("1", ["north1"])):
        assert lists(served, where=Where(attributes={"n": (value,)})) == expected
    assert lists(served, where=Where(ranges={"n": (2, 2)})) == ["north2"]


def test_diversity_of_one_shows_what_is_unlike_and_zero_is_the_plain_list(bases) -> None:
    base = bases[False]
    assert lists(base) == tiny.IDS
    assert lists(base, Shape(diversity=1.0), k=2) == ["east1", "north1"]
    assert lists(base, Shape(diversity=1e-9)) == tiny.IDS  # the long way round


def test_calibration_gives_a_history_its_proportions() -> None:
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    useful = Usefulness(
        scores, calibration=0.9, categories=[["a"], ["a"], ["b"], ["b"]], tastes=[["a"], ["b"]]
    )
    first = int(useful.of(np.empty(0, np.int64)).argmax())
    assert first == 0
    assert int(useful.of(np.array([first])).argmax()) == 2  # half a, half b


def test_reasons_name_what_speaks_for_an_item(bases) -> None:
    base = bases[False]
    popular = base.recommend(Request(UserState.empty(), k=1, explain=True))[0]
    assert [reason.code for reason in popular.reasons] == ["popular"]
    liked = base.recommend(Request(clicked(base, "north1", "east1"), k=1, explain=True))[0]
    (reason, *_) = liked.reasons
    assert (liked.item_id, reason.code, reason.item_id) == ("east2", "history", "east1")
    assert reason.text == "Because you looked at Film east1"
    asked = Request(UserState.empty(), k=1, query="north", explain=True)
    assert "query" in {reason.code for reason in base.recommend(asked)[0].reasons}


def test_live_facts_replace_packaged_ones(bases) -> None:
    served = told(Overlay.over(bases[False]), film("east1", categories=("north",))).recommender
    assert lists(served, categories=frozenset({"east"})) == ["east2"]
    assert lists(served, categories=frozenset({"north"})) == ["east1", "north1", "north2"]
