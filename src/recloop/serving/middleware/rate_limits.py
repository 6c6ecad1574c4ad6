"""Rate limits by token buckets, one for each caller, in the memory of one process."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

_MAX_BUCKETS = 10_000
_IPV6_PREFIX_BITS = 64  # one customer of a provider usually has all addresses with this prefix


@dataclass
class _Bucket:
    """Tokens of a caller at a time in seconds."""

    tokens: float
    at: float


class TokenBuckets:
    """Token buckets, which allow each caller `burst` requests at once and `rate` per second.

    Not thread-safe; for one event loop. If there are more than `max_buckets` callers, the bucket of
    the least recent caller is dropped.

    >>> buckets = TokenBuckets(rate=0.5, burst=1)
    >>> buckets.take("key 1", now=0.0)
    0.0
    >>> buckets.take("key 1", now=0.0)
    2.0
    """

    def __init__(self, rate: float, burst: int, max_buckets: int = _MAX_BUCKETS) -> None:
        self._rate = rate
        self._burst = burst
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now: float) -> float:
        """Take a token of the caller's bucket.

        Args:
            caller: Name of the caller.
            now: Time in seconds, from any origin.

        Returns:
            0 if there was a token, otherwise the seconds until there will be one.
        """
        bucket = self._buckets.setdefault(caller, _Bucket(self._burst, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        grown = bucket.tokens + max(0.0, now - bucket.at) * self._rate
        bucket.tokens = min(self._burst, grown)
        bucket.at = max(bucket.at, now)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0


def rate_limit_address(host: str) -> str:
    """Return the address or network whose requests are limited together.

    An IPv6 address is limited with its /64 network, which usually belongs to one customer. A host
    that is not an address is returned unchanged.

    >>> rate_limit_address("2001:db8::1")
    '2001:db8::/64'
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:  # noqa: PLR2004 - the protocol's own name
        return host
    return str(ipaddress.ip_network((int(address), _IPV6_PREFIX_BITS), strict=False))
