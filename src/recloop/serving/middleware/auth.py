"""Authentication by API keys: the scope of every endpoint, and the middleware that requires it."""

import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from recloop.logs import error_location, get_log
from recloop.serving.errors import error_response
from recloop.serving.middleware.rate_limits import TokenBuckets, rate_limit_address
from recloop.store.api_keys import ApiKey
from recloop.store.key_cache import KeyCache
from recloop.store.schema_version import StoreSchemaError
from recloop.store.scopes import Scope

PUBLIC_PATHS = frozenset({"/", "/docs", "/openapi.json", "/metrics"})
SCOPES = {
    ("POST", "/v1/recommend"): Scope.RECOMMEND,
    ("GET", "/v1/items/{}/similar"): Scope.RECOMMEND,
    ("GET", "/v1/popular"): Scope.RECOMMEND,
    ("POST", "/v1/events"): Scope.INGEST,
    ("POST", "/v1/items"): Scope.CATALOGUE,
    ("DELETE", "/v1/items/{}"): Scope.CATALOGUE,
    ("DELETE", "/v1/users/{}"): Scope.ADMIN,
    ("GET", "/v1/users/{}/export"): Scope.ADMIN,
}
_AUDITED = frozenset({Scope.CATALOGUE, Scope.ADMIN})
_UNLISTED = "unlisted"
# An id may contain a slash.
_PATTERNS = [
    (method, re.compile(re.escape(path).replace(r"\{\}", ".+")), path)
    for method, path in SCOPES
    if "{}" in path
]

log = get_log("audit")


def endpoint_template(method: str, path: str) -> str | None:
    """Return the path template of a request in `SCOPES`, None if it is not in `SCOPES`."""
    if (method, path) in SCOPES:
        return path
    for method_of_pattern, pattern, template in _PATTERNS:
        if method_of_pattern == method and pattern.fullmatch(path):
            return template
    return None


def required_scope(method: str, template: str) -> Scope | None:
    """Return the scope that a route requires, None if `SCOPES` does not name the route.

    The names of path parameters do not matter: `/v1/items/{item_id}` is `/v1/items/{}`.
    """
    return SCOPES.get((method, re.sub(r"\{[^}]*\}", "{}", template)))


class AuthMiddleware:
    """Middleware that checks the API key, its rate limit, and the scope of the endpoint.

    A route that is not in `SCOPES` requires the scope `admin`. A path without a route is passed on
    and answered with 404.

    Args:
        app: Application to protect.
        ring: API keys. None: requests need no key.
        buckets: Rate limits. None: requests are not limited.
        is_routed: Function that returns whether a route exists for a connection.
        clock: Function that returns the time in seconds, from any origin.
    """

    def __init__(
        self,
        app: ASGIApp,
        ring: KeyCache | None,
        buckets: TokenBuckets | None,
        is_routed: Callable[[Connection], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ring = ring
        self._buckets = buckets
        self._is_routed = is_routed
        self._clock = clock

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Pass on a request within its scope and rate limit; else answer 401, 403, 429 or 503."""
        if scope["type"] != "http" or scope["path"] in PUBLIC_PATHS:
            await self._app(scope, receive, send)
            return
        endpoint = endpoint_template(scope["method"], scope["path"])
        if endpoint is None and not self._is_routed(scope):
            await self._app(scope, receive, send)
            return
        needed = SCOPES[scope["method"], endpoint] if endpoint else Scope.ADMIN
        try:
            key = await self._key(Headers(scope=scope).get("authorization", ""))
        except (SQLAlchemyError, StoreSchemaError) as error:
            log.error("cannot read the API keys", error=error_location(error))
            key, answer = None, _unavailable()
        else:
            answer = self._refusal(scope, key, needed) or self._app
        if needed in _AUDITED:
            line = partial(
                log.info,
                "call",
                key=key.id if key else None,
                scope=needed.value,
                method=scope["method"],
                endpoint=endpoint or _UNLISTED,
            )
            await _audited(answer, line, scope, receive, send)
        else:
            await answer(scope, receive, send)

    async def _key(self, authorization: str) -> ApiKey | None:
        if self._ring is None:
            return None
        if self._ring.is_stale:
            await run_sync(self._ring.refresh)
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        return self._ring.find(token.strip(), datetime.now(UTC))

    def _refusal(self, scope: Connection, key: ApiKey | None, needed: Scope) -> ASGIApp | None:
        if self._buckets is not None:
            seconds = self._buckets.take(_caller(scope, key), self._clock())
            if seconds:
                return _too_many(seconds)
        if self._ring is None:
            return None
        if key is None:
            return _unauthorized()
        return None if needed in key.scopes else _forbidden(needed)


async def _audited(
    answer: ASGIApp,
    line: Callable[..., object],
    scope: Connection,
    receive: Receive,
    send: Send,
) -> None:
    """Answer a request, and write its status to the audit log.

    The log contains neither the path nor the address, since both may identify a person.
    """
    status = 500

    async def record_status(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await answer(scope, receive, record_status)
    finally:
        line(status=status)


def _caller(scope: Connection, key: ApiKey | None) -> str:
    if key is not None:
        return f"key {key.id}"
    client = scope.get("client")
    return rate_limit_address(client[0]) if client else ""


def _unauthorized() -> ASGIApp:
    return error_response(
        401,
        "unauthorized",
        "A valid API key is required, as `Authorization: Bearer KEY`.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _forbidden(needed: Scope) -> ASGIApp:
    return error_response(
        403,
        "forbidden",
        f"The API key does not have the scope `{needed}`.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
    )


def _too_many(seconds: float) -> ASGIApp:
    return error_response(
        429,
        "too_many_requests",
        "The rate limit is exceeded; send the request again after the seconds in Retry-After.",
        headers={"Retry-After": str(math.ceil(seconds))},
    )


def _unavailable() -> ASGIApp:
    return error_response(
        503,
        "keys_unavailable",
        "API keys cannot be checked at the moment; send the request again.",
        headers={"Retry-After": "1"},
    )
