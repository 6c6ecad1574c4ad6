"""Token buckets allow exactly their burst and rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloop.serving.middleware.rate_limits import TokenBuckets, rate_limit_address


def test_a_burst_of_three_then_two_per_second() -> None:
    buckets = TokenBuckets(rate=2, burst=3)
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 10.25) == 0.25
    assert buckets.take("a", 10.5) == 0
    assert buckets.take("b", 10.5) == 0  # another caller has another bucket


def test_a_clock_that_steps_back_adds_no_tokens() -> None:
    buckets = TokenBuckets(rate=1, burst=1)
    assert buckets.take("a", 10.0) == 0
    assert buckets.take("a", 5.0) == 1
    assert buckets.take("a", 10.5) == 0.5


# Quarters, so that sums are exact.
GAPS = st.lists(st.integers(0, 20).map(lambda n: n / 4), max_size=60)


@given(gaps=GAPS, rate=st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]), burst=st.integers(1, 5))
def test_any_interval_allows_at_most_burst_and_rate_and_waiting_helps(gaps, rate, burst) -> None:
    buckets = TokenBuckets(rate, burst)
    now, through = 0.0, []
    for gap in gaps:
        now += gap
        wait = buckets.take("a", now)
        if wait:
            now += wait
            assert buckets.take("a", now) == 0
        through.append(now)
    for first, begin in enumerate(through):
        for count, end in enumerate(through[first:], start=1):
            assert count <= burst + rate * (end - begin)


def test_the_least_recent_callers_are_dropped_first() -> None:
    buckets = TokenBuckets(rate=1, burst=1, max_buckets=2)
    assert [buckets.take(name, 0.0) for name in ("a", "b", "c")] == [0, 0, 0]
    assert buckets.take("b", 0.0) == 1
    assert (
        buckets.take("a", 0.0) == 0
    )  # the bucket of `a` was dropped, and this drops the one of `c`


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_address_is_limited_with_its_network(host, caller) -> None:
    assert rate_limit_address(host) == caller
