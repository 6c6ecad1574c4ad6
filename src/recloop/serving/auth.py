"""Who may call what: every endpoint's scope, said once, and the guard that asks for it."""

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

from recloop.logs import blame, get_log
from recloop.serving.limits import TokenBuckets, neighbourhood
from recloop.serving.problems import error_answer
from recloop.store.keyring import KeyRing
from recloop.store.keys import ApiKey, Scope

OPEN = frozenset({"/", "/docs", "/openapi.json", "/metrics"})
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
_PATTERNS = [
    (method, re.compile(re.escape(path).replace(r"\{\}", "[^/]+")), path)
    for method, path in SCOPES
    if "{}" in path
]

log = get_log("audit")


def endpoint_of(method: str, path: str) -> str | None:
    """The path of SCOPES that a request asks for, None where it is not among them."""
    if (method, path) in SCOPES:
        return path
    for known, pattern, template in _PATTERNS:
        if known == method and pattern.fullmatch(path):
            return template
    return None


def scope_of(method: str, template: str) -> Scope | None:
    """What a route asks for, whatever its parameters are called; None where nobody has said."""
    return SCOPES.get((method, re.sub(r"\{[^}]*\}", "{}", template)))


class Guard:
    """Finds the caller's key, counts against its limit, and asks for the endpoint's scope.

    Without a ring no key is asked for; without buckets nothing is limited. What the router answers
    but SCOPES does not name needs an admin; what nothing answers is left to the router's 404.
    """

    def __init__(
        self,
        app: ASGIApp,
        ring: KeyRing | None,
        buckets: TokenBuckets | None,
        answered: Callable[[Connection], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ring = ring
        self._buckets = buckets
        self._answered = answered
        self._clock = clock

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        endpoint = endpoint_of(scope["method"], scope["path"])
        if endpoint is None and not self._answered(scope):
            await self._app(scope, receive, send)
            return
        needed = SCOPES[scope["method"], endpoint] if endpoint else Scope.ADMIN
        try:
            key = await self._key(Headers(scope=scope).get("authorization", ""))
        except SQLAlchemyError as error:
            log.error("keys not readable", error=blame(error))
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
    """Answer, then log what came of it: no path and no address, which may tell who somebody is."""
    status = 500

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await answer(scope, receive, noting)
    finally:
        line(status=status)


def _caller(scope: Connection, key: ApiKey | None) -> str:
    if key is not None:
        return f"key {key.id}"
    client = scope.get("client")
    return neighbourhood(client[0]) if client else ""


def _unauthorized() -> ASGIApp:
    return error_answer(
        401,
        "unauthorized",
        "A valid API key is needed, as `Authorization: Bearer KEY`.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _forbidden(needed: Scope) -> ASGIApp:
    return error_answer(
        403,
        "forbidden",
        f"This API key has no scope `{needed}`.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
    )


def _too_many(seconds: float) -> ASGIApp:
    return error_answer(
        429,
        "too_many_requests",
        "This caller has used up its requests for the moment; try again later.",
        headers={"Retry-After": str(math.ceil(seconds))},
    )


def _unavailable() -> ASGIApp:
    return error_answer(
        503,
        "keys_unavailable",
        "API keys cannot be checked right now; try again.",
        headers={"Retry-After": "1"},
    )
