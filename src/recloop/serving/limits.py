"""Rate limits: a token bucket for every caller, in the memory of one process."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

_MOST_BUCKETS = 10_000
_NEIGHBOURS = 64  # bits of an IPv6 address that one customer of a provider usually has


@dataclass
class _Bucket:
    tokens: float
    at: float


class TokenBuckets:
    """Lets a caller through `burst` times at once and `rate` times a second on average.

    For one event loop: not thread-safe. Memory is bounded; the callers not seen for longest are
    forgotten first.
    """

    def __init__(self, rate: float, burst: int, most: int = _MOST_BUCKETS) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now: float) -> float:
        """Take a token. Returns 0, or the seconds until there is one; `now` in seconds, any origin."""
        bucket = self._buckets.setdefault(caller, _Bucket(self._burst, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        grown = bucket.tokens + max(0.0, now - bucket.at) * self._rate
        bucket.tokens = min(self._burst, grown)
        bucket.at = max(bucket.at, now)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0


def neighbourhood(host: str) -> str:
    """An address as it is limited: IPv6 by its network, of which one caller has all the rest."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:  # noqa: PLR2004 - the protocol's own name
        return host
    return str(ipaddress.ip_network((int(address), _NEIGHBOURS), strict=False))
