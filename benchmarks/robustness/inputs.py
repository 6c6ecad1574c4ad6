"""Endless hostile requests: wrong types, huge numbers, deep nesting, problematic text.

The same seed gives the same requests.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from tests.support.tiny_model import IDS

MEGABYTE = 1_000_000
TEXTS = (
    "'; DROP TABLE events; --",
    '" OR 1=1 --',
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "../../etc/passwd",
    "%00%2e%2e%2f",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "مرحبا بالعالم",
    "\u202egnp.exe",
    "שלום \u200f\u200e",
    "Z̸̢̛̗͎͓͉a̷l̸g̷o",
    "a\u0000b",
    "\ud800",
    "\ufeff\u200b",
    "ﷺ" * 100,
    "A" * 256,
    "A" * 257,
    "x" * 100_000,
    " ",
    "",
    "null",
    "NaN",
)
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400, "-0", "1e-400", "1" * 5000)
VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**63),
    1e308,
    0.1,
    [],
    {},
    [[]],
    [None],
)
MOMENTS = (
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2024-02-30T00:00:00Z",
    "2024-01-01T00:00:00",
    "2024-01-01T00:00:00+99:99",
    "1970-01-01T00:00:00Z",
    "-1",
    1e18,
    2**63,
)
JSON = "application/json"
TYPES = (
    JSON,
    "text/plain",
    "application/xml",
    "",
    "application/json; charset=utf-16",
)
GOOD_MOMENT = "2024-01-01T00:00:00Z"


@dataclass(frozen=True)
class HostileRequest:
    """One request; `sound` is its body if the request is valid and must be accepted."""

    kind: str
    method: str
    path: str
    content: bytes
    headers: dict[str, str]
    sound: dict[str, list[dict[str, object]]] | None = None


def hostile_requests(seed: int) -> Iterator[HostileRequest]:
    """Yield requests of each kind in turn."""
    rng = random.Random(seed)  # noqa: S311 - not used for secrets
    kinds = (_value, _text, _number, _nested, _bytes, _path, _moment, _mistyped, _sound)
    number = 0
    while True:
        yield kinds[number % len(kinds)](rng, number)
        number += 1


def large_request(megabytes: int) -> HostileRequest:
    """Return a request with a body of the given size."""
    text = "x" * (megabytes * MEGABYTE)
    return _json("large", "/v1/events", {"events": [{"event_id": text}]})


def _event(number: int, **changes: object) -> dict[str, object]:
    event = {"event_id": f"hostile-{number}", "user_id": "eve", "item_id": "east1"}
    return {**event, "event": "click", "timestamp": GOOD_MOMENT, **changes}


def _body(rng: random.Random, number: int) -> tuple[str, dict[str, object]]:
    """Return path and body of a valid request."""
    item = {"item_id": "x", "title": "t", "text": "t", "categories": ["c"], "attributes": {"a": 1}}
    bodies: tuple[tuple[str, dict[str, object]], ...] = (
        ("/v1/recommend", {"user_id": "eve", "query": "q", "k": 3, "exclude": ["both"]}),
        ("/v1/recommend", {"history": [{"item_id": "both"}], "filters": {"categories": ["a"]}}),
        ("/v1/events", {"events": [_event(number, value=1.0, query="q", session_id="s")]}),
        ("/v1/items", {"items": [item]}),
    )
    return rng.choice(bodies)


def _json(kind: str, path: str, body: object, content_type: str = JSON) -> HostileRequest:
    return HostileRequest(kind, "POST", path, json.dumps(body).encode(), _typed(content_type))


def _typed(content_type: str = JSON) -> dict[str, str]:
    return {"content-type": content_type}


def _changed(rng: random.Random, body: object, value: object) -> object:
    """Return the body with one value replaced, at any depth."""
    if isinstance(body, dict) and body and rng.random() < 0.9:  # noqa: PLR2004
        key = rng.choice(sorted(body))
        return {**body, key: _changed(rng, body[key], value)}
    if isinstance(body, list) and body and rng.random() < 0.9:  # noqa: PLR2004
        return [_changed(rng, body[0], value), *body[1:]]
    return value


def _value(rng: random.Random, number: int) -> HostileRequest:
    path, body = _body(rng, number)
    return _json("value", path, _changed(rng, body, rng.choice(VALUES)))


def _text(rng: random.Random, number: int) -> HostileRequest:
    path, body = _body(rng, number)
    return _json("text", path, _changed(rng, body, rng.choice(TEXTS)))


def _number(rng: random.Random, number: int) -> HostileRequest:
    path, body = _body(rng, number)
    text = json.dumps(_changed(rng, body, "@")).replace('"@"', rng.choice(NUMBERS))
    return HostileRequest("number", "POST", path, text.encode(), _typed())


def _nested(rng: random.Random, number: int) -> HostileRequest:
    path, body = _body(rng, number)
    depth = rng.choice((10, 500, 5_000, 100_000))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
    deep = opened * depth + "1" + closed * depth
    text = json.dumps(_changed(rng, body, "@")).replace('"@"', deep)
    return HostileRequest("nested", "POST", path, text.encode(), _typed())


def _bytes(rng: random.Random, number: int) -> HostileRequest:
    path, body = _body(rng, number)
    content = bytearray(json.dumps(body).encode())
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    if rng.random() < 0.2:  # noqa: PLR2004
        content = bytearray(rng.randbytes(rng.randint(0, 2_000)))
    return HostileRequest("bytes", "POST", path, bytes(content), _typed())


def _path(rng: random.Random, _number: int) -> HostileRequest:
    name = quote(rng.choice(TEXTS).encode("utf-8", "surrogatepass")[:2_000], safe="")
    method, path = rng.choice(
        (
            ("GET", f"/v1/items/{name}/similar"),
            ("DELETE", f"/v1/items/{name}"),
            ("GET", f"/v1/users/{name}/export"),
            ("DELETE", f"/v1/users/{name}"),
            ("GET", f"/v1/popular?k={name}"),
            ("GET", f"/v1/popular?category={name}&user_id={name}"),
            ("GET", f"/v1/{name}"),
            ("PUT", f"/v1/items/{name}"),
        )
    )
    return HostileRequest("path", method, path, b"", {})


def _moment(rng: random.Random, number: int) -> HostileRequest:
    moment = rng.choice(MOMENTS)
    path, body = rng.choice(
        (
            ("/v1/events", {"events": [_event(number, timestamp=moment)]}),
            ("/v1/recommend", {"context": {"timestamp": moment}}),
            ("/v1/recommend", {"history": [{"item_id": "both", "timestamp": moment}]}),
            ("/v1/items", {"items": [{"item_id": "x", "title": "t", "expires_at": moment}]}),
        )
    )
    return _json("moment", path, body)


def _mistyped(rng: random.Random, number: int) -> HostileRequest:
    path, body = _body(rng, number)
    return _json("mistyped", path, body, rng.choice(TYPES))


def _sound(rng: random.Random, number: int) -> HostileRequest:
    """Return a valid event, which must be accepted even among hostile requests."""
    text = rng.choice([text for text in TEXTS if _is_id(text)])
    user = f"sound {text}"  # a user that no hostile path erases
    body = {"events": [_event(number, user_id=user, item_id=rng.choice((*IDS, text)))]}
    request = _json("sound", "/v1/events", body)
    return HostileRequest(
        request.kind, "POST", request.path, request.content, request.headers, body
    )


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 250 and "\0" not in text and "\ud800" not in text  # noqa: PLR2004
