"""API keys, rate limits and headers over the real application, without a network."""

import asyncio
import base64
import hashlib
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from flows.replay import client_of
from recloop.config import ConfigError
from recloop.registry.champion import write_champion
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.serving.middleware import auth
from recloop.serving.middleware.response_headers import ResponseHeadersMiddleware
from recloop.serving.middleware.security import SecurityConfig
from recloop.settings import read_settings
from recloop.store.api_keys import KeyStore
from recloop.store.event_store import EventStore
from recloop.store.scopes import Scope
from tests.support import faults

NOW = datetime.now(UTC)
EVENT = {
    "event_id": "e1",
    "user_id": "adam",
    "item_id": "east1",
    "timestamp": "2024-01-01T00:00:00Z",
    "event": "click",
}
BODIES = {
    "/v1/recommend": {"user_id": "adam"},
    "/v1/events": {"events": [EVENT]},
}


@pytest.fixture(scope="module")
def engine(payload, tmp_path_factory):
    class Breaking(Engine):
        """Cannot let one item go."""

        def delete(self, item_id: str) -> None:
            if item_id == "broken":
                raise RuntimeError("secret detail")
            super().delete(item_id)

    pointer = tmp_path_factory.mktemp("engine") / "champion.json"
    write_champion(pointer, "v1", [])
    engine = Breaking(
        faults.Models(payload.recommender()),
        pointer,
        EventStore.at(pointer.with_name("events.db")),
        poll_seconds=60,
    )
    engine.refresh()
    return engine


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "keys.db"


@pytest.fixture(scope="module")
def store(keys) -> KeyStore:
    return KeyStore.at(keys)


@pytest.fixture(scope="module")
def tokens(store) -> dict[Scope, str]:
    """Return a key for each scope."""
    return {scope: store.create(scope, [scope], NOW)[1] for scope in Scope}


@pytest.fixture(scope="module")
def application(engine, keys, tokens):
    """Return a client of the API with keys and with a route that is not in `SCOPES`."""
    app = create_app(engine, SecurityConfig(keys=keys))

    @app.get("/v1/forgotten")
    def forgotten() -> str:
        return "nobody thought of me"

    return app


@pytest.fixture(scope="module")
def client(application) -> TestClient:
    """Return the application inside the middleware that the service mounts around it."""
    return TestClient(ResponseHeadersMiddleware(application), raise_server_exceptions=False)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def code(answer) -> str:
    return answer.json()["error"]["code"]


def test_every_operation_of_the_openapi_document_has_a_scope(engine) -> None:
    contract = create_app(engine).openapi()
    operations = [(method, path) for path, found in contract["paths"].items() for method in found]
    assert operations
    for method, path in operations:
        assert auth.required_scope(method.upper(), path) is not None, (method, path)


def test_only_the_listed_routes_are_public(engine) -> None:
    routes = create_app(engine).routes
    hidden = {
        getattr(route, "path", None)
        for route in routes
        if not getattr(route, "include_in_schema", True)
    }
    assert hidden == auth.PUBLIC_PATHS


def test_without_authentication_no_key_is_required(engine) -> None:
    client = TestClient(create_app(engine))
    assert client.post("/v1/recommend", json=BODIES["/v1/recommend"]).status_code == 200
    assert "security" not in client.get("/openapi.json").json()["paths"]["/v1/recommend"]["post"]


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("POST", "/v1/recommend", Scope.RECOMMEND),
        ("POST", "/v1/events", Scope.INGEST),
        ("DELETE", "/v1/items/a%20b", Scope.CATALOGUE),
        ("DELETE", "/v1/items/shoes%2F42", Scope.CATALOGUE),
        ("GET", "/v1/users/adam/export", Scope.ADMIN),
        ("GET", "/v1/forgotten", Scope.ADMIN),  # a route without a scope
        ("GET", "/v1/forgotten%0a", Scope.ADMIN),  # the router accepts a newline at the end
        ("POST", "/v1/recommend%0a", Scope.ADMIN),
    ],
)
def test_an_endpoint_requires_exactly_its_scope(client, tokens, held, method, path, needed) -> None:
    body = BODIES.get(path.removesuffix("%0a")) if method == "POST" else None
    answer = client.request(method, path, json=body, headers=bearer(tokens[held]))
    assert answer.status_code == (200 if held == needed else 403), answer.text
    if held != needed:
        assert code(answer) == "forbidden"
        assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "headers",
    [{}, bearer(""), bearer("recloop_x_y"), bearer("ü"), {"Authorization": "Basic YTpi"}],
    ids=["none", "empty", "unknown", "latin-1", "basic"],
)
def test_without_a_valid_key_the_response_is_401_and_nothing_is_stored(
    client, engine, headers
) -> None:
    body = {"events": [{**EVENT, "event_id": "never"}]}
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.post("/v1/events", json=body, headers=raw)
    assert (answer.status_code, code(answer)) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "never" not in engine.store.events()["event_id"].to_list()


def test_the_key_is_checked_before_the_body(client, tokens) -> None:
    unsized = client.post("/v1/events", content=iter([b"{"]))
    assert unsized.status_code == 401
    wrong = client.post("/v1/events", content=b"{", headers=bearer(tokens[Scope.RECOMMEND]))
    assert wrong.status_code == 403


def test_an_expired_or_revoked_key_is_refused(engine, keys, store) -> None:
    _, old = store.create("old", [Scope.RECOMMEND], NOW - timedelta(2), NOW - timedelta(1))
    lost, token = store.create("lost", [Scope.RECOMMEND], NOW)
    store.revoke(lost.id, NOW)
    fresh = TestClient(create_app(engine, SecurityConfig(keys=keys)))
    for bad in (old, token):
        assert fresh.post("/v1/recommend", json={}, headers=bearer(bad)).status_code == 401


def test_public_pages_and_unknown_paths_need_no_key(client) -> None:
    for path in ("/", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
    assert code(client.get("/v1/nothing")) == "not_found"
    assert client.put("/v1/recommend").status_code == 405


def test_the_openapi_document_has_the_scope_of_every_operation(client) -> None:
    contract = client.get("/openapi.json").json()
    assert contract["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert contract["paths"]["/v1/events"]["post"]["security"] == [{"key": ["ingest"]}]
    assert {"401", "403", "429"} <= contract["paths"]["/v1/events"]["post"]["responses"].keys()


def test_if_the_keys_cannot_be_read_every_request_is_refused(engine, tmp_path) -> None:
    path = tmp_path / "keys.db"
    path.write_text("this is no database" * 100)
    client = TestClient(create_app(engine, SecurityConfig(keys=path)))
    answer = client.post("/v1/recommend", json={}, headers=bearer("recloop_x_y"))
    assert (answer.status_code, code(answer)) == (503, "keys_unavailable")
    assert client.get("/docs").status_code == 200


def test_admin_and_catalogue_calls_are_audited_without_personal_data(client, tokens, store) -> None:
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as lines:
        admin = {**bearer(tokens[Scope.ADMIN]), "X-Request-ID": "trace-1"}
        client.get("/v1/users/adam/export", headers=admin)
        client.delete("/v1/items/east1", headers=admin)
        client.delete("/v1/items/east1")
        client.delete("/v1/items/broken", headers=bearer(tokens[Scope.CATALOGUE]))
        client.post("/v1/recommend", json={}, headers=bearer(tokens[Scope.RECOMMEND]))
    ids = {key.name: key.id for key in store.read()}
    seen = [
        (line["key"], line["scope"], line["method"], line["endpoint"], line["status"])
        for line in lines
        if line["event"] == "call"
    ]
    assert seen == [
        (ids["admin"], "admin", "GET", "/v1/users/{}/export", 200),
        (ids["admin"], "catalogue", "DELETE", "/v1/items/{}", 403),
        (None, "catalogue", "DELETE", "/v1/items/{}", 401),
        (ids["catalogue"], "catalogue", "DELETE", "/v1/items/{}", 500),
    ]
    assert lines[0]["x_request_id"] == "trace-1"
    assert "adam" not in str(lines)


def test_callers_are_limited_by_key_or_by_address(engine, keys, tokens) -> None:
    # One token per 1,000 seconds, so that none is added during the test.
    slow = SecurityConfig(keys=keys, rate=0.001, burst=2)
    client = TestClient(create_app(engine, slow))

    def ask(headers: dict[str, str]) -> int:
        return client.post("/v1/recommend", json={}, headers=headers).status_code

    held = bearer(tokens[Scope.RECOMMEND])
    assert [ask(held) for _ in range(3)] == [200, 200, 429]
    assert [ask(bearer("wrong")), ask({}), ask({})] == [401, 401, 429]
    assert ask(bearer(tokens[Scope.INGEST])) == 403
    answer = client.post("/v1/recommend", json={}, headers=held)
    assert code(answer) == "too_many_requests"
    assert 990 <= int(answer.headers["Retry-After"]) <= 1000
    assert client.get("/docs").status_code == 200


def test_without_keys_addresses_are_limited(engine) -> None:
    app = create_app(engine, SecurityConfig(rate=0.001, burst=1))
    one, other = (TestClient(app, client=(host, 1)) for host in ("192.0.2.1", "192.0.2.2"))
    statuses = [client.post("/v1/recommend", json={}).status_code for client in (one, one, other)]
    assert statuses == [200, 429, 200]


@pytest.mark.parametrize("sent", ["a", "0189-AB.c_d:e+f/g=", "x" * 128])
def test_a_valid_request_id_is_returned(client, sent) -> None:
    answer = client.get("/v1/nothing", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] == sent
    assert answer.json()["error"]["request_id"] == sent


@given(sent=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=200))
def test_an_invalid_request_id_is_replaced(client, sent) -> None:
    answer = client.get("/v1/nothing", headers={"X-Request-ID": sent.encode("latin-1")})
    returned = answer.headers["X-Request-ID"]
    if re.fullmatch(r"[A-Za-z0-9._:+/=-]{1,128}", sent):
        assert returned == sent
    else:
        assert re.fullmatch("[0-9a-f]{32}", returned)


def test_a_request_inside_the_context_of_another_has_its_own_id() -> None:
    async def answer(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    sent = []

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"x-request-id", b"second")]}
    with structlog.contextvars.bound_contextvars(x_request_id="first"):
        asyncio.run(ResponseHeadersMiddleware(answer)(scope, receive, send))
    headers = sent[0]["headers"]
    assert (b"x-request-id", b"second") in headers
    assert len(headers) == len({name for name, _ in headers})


def test_the_service_mounts_the_response_headers_once() -> None:
    """The test uses another process, because importing BentoML emits warnings."""
    code = """
from recloop.serving.middleware.response_headers import ResponseHeadersMiddleware
from recloop.serving.service import RecloopService
mounted = [middleware for middleware, _ in RecloopService.middlewares]
assert mounted.count(ResponseHeadersMiddleware) == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_internal_error_has_the_request_id_in_response_and_log(client, tokens) -> None:
    headers = {**bearer(tokens[Scope.CATALOGUE]), "X-Request-ID": "trace-2"}
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as lines:
        answer = client.delete("/v1/items/broken", headers=headers)
    assert (answer.status_code, code(answer)) == (500, "internal_error")
    assert answer.headers["X-Request-ID"] == "trace-2"
    assert answer.json()["error"]["request_id"] == "trace-2"
    assert "secret" not in answer.text
    assert {line["x_request_id"] for line in lines} == {"trace-2"}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/v1/nothing", "/v1/recommend"])
def test_every_response_has_the_security_headers(client, path) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Server" not in headers
    assert "Access-Control-Allow-Origin" not in headers


def test_the_content_security_policy_allows_what_the_page_uses(client) -> None:
    page = client.get("/docs")
    policy = dict(
        part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; ")
    )
    (inline,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    named = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{named}'"
    assert re.findall(r'(?:src|href)="([^/])', page.text) == []  # no URL of another host
    assert "'self'" in policy["connect-src"]
    assert "'self'" in policy["style-src"]
    assert "'self'" in policy["img-src"]


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def test_only_listed_origins_may_call(engine, keys) -> None:
    config = SecurityConfig(keys=keys, origins=["https://shop.example"])
    client = TestClient(create_app(engine, config))
    listed = {"Origin": "https://shop.example"}
    allowed = client.options("/v1/recommend", headers={**PREFLIGHT, **listed})
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    refused = client.post("/v1/recommend", json={}, headers=listed)
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    for other in ("https://shop.example.evil", "null"):
        headers = {**PREFLIGHT, "Origin": other}
        answer = client.options("/v1/recommend", headers=headers)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_environment_sets_the_protection(home, monkeypatch) -> None:
    assert SecurityConfig.of_settings(read_settings()) == SecurityConfig()
    monkeypatch.setenv("RECLOOP_AUTH", "keys")
    monkeypatch.setenv("RECLOOP_RATE_LIMIT", "2.5")
    monkeypatch.setenv("RECLOOP_CORS_ORIGINS", "https://a.example, http://localhost:8080")
    found = SecurityConfig.of_settings(read_settings())
    assert found == SecurityConfig(
        keys=home.keys, rate=2.5, origins=("https://a.example", "http://localhost:8080")
    )
    buckets = found.buckets()
    assert buckets is not None
    assert [buckets.take("a", 0.0) for _ in range(6)] == [0] * 5 + [0.4]  # two seconds, then one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECLOOP_AUTH", "key"),
        ("RECLOOP_RATE_LIMIT", "0"),
        ("RECLOOP_RATE_LIMIT", "nan"),
        ("RECLOOP_RATE_LIMIT", "many"),
        ("RECLOOP_RATE_BURST", "0"),
        ("RECLOOP_CORS_ORIGINS", "*"),
        ("RECLOOP_CORS_ORIGINS", "https://a.example/path"),
        ("RECLOOP_CORS_ORIGINS", "a.example"),
    ],
)
def test_an_invalid_setting_stops_the_start(home, monkeypatch, name, value) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        SecurityConfig.of_settings(read_settings())


def test_the_loop_calls_the_service_with_its_key() -> None:
    with client_of("http://127.0.0.1", None) as client:
        assert "Authorization" not in client.headers
    with client_of("http://127.0.0.1", SecretStr("recloop_x_y")) as client:
        assert client.headers["Authorization"] == "Bearer recloop_x_y"
