"""Protection of the API by keys, rate limits and CORS, as the settings say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from recloop.serving.middleware.auth import AuthMiddleware, required_scope
from recloop.serving.middleware.rate_limits import TokenBuckets
from recloop.serving.middleware.response_headers import REQUEST_ID
from recloop.serving.middleware.telemetry import TelemetryMiddleware
from recloop.store.key_cache import KeyCache

if TYPE_CHECKING:
    from recloop.settings import Settings

_SCHEME = "key"


@dataclass(frozen=True)
class SecurityConfig:
    """Protection of the API. By default, nothing is protected.

    Attributes:
        keys: File or URL of the API keys. None: requests need no key.
        rate: Requests per second of one caller. None: no limit.
        burst: Requests of one caller that may arrive at once. None: those of two seconds.
        origins: Origins of the web pages that may call the API.
    """

    keys: Path | str | None = None
    rate: float | None = None
    burst: int | None = None
    origins: Sequence[str] = ()

    @classmethod
    def of_settings(cls, settings: "Settings") -> "SecurityConfig":
        """Return the protection that the settings ask for."""
        keys = settings.home.keyring if settings.auth == "keys" else None
        return cls(keys, settings.rate_limit, settings.rate_burst, settings.cors_origins)

    def buckets(self) -> TokenBuckets | None:
        """Return the rate limits of this process, None if requests are not limited."""
        if self.rate is None:
            return None
        return TokenBuckets(self.rate, self.burst or max(1, round(2 * self.rate)))


class GuardedApi(FastAPI):
    """FastAPI application with authentication, telemetry, and scopes in the OpenAPI document."""

    _keys_needed = False

    def guard(self, security: SecurityConfig) -> None:
        """Protect all routes. Call this after all other middleware is added.

        Args:
            security: Keys, rate limits and allowed origins.
        """
        self._keys_needed = security.keys is not None
        self.add_middleware(
            AuthMiddleware,
            ring=KeyCache(security.keys) if security.keys else None,
            buckets=security.buckets(),
            is_routed=self._is_routed,
        )
        if security.origins:
            self.add_middleware(
                CORSMiddleware,
                allow_origins=security.origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["Authorization", REQUEST_ID],
                expose_headers=[REQUEST_ID, "Retry-After"],
            )

    def build_middleware_stack(self) -> ASGIApp:
        """Return FastAPI's middleware inside of `TelemetryMiddleware`.

        So that errors which FastAPI handles are counted too.
        """
        return TelemetryMiddleware(super().build_middleware_stack())

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document; if keys are required, with the scope of every operation."""
        document = super().openapi()
        if self._keys_needed:
            schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes[_SCHEME] = {"type": "http", "scheme": "bearer"}
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    scope = required_scope(method.upper(), path)
                    operation["security"] = [{_SCHEME: [scope.value] if scope else []}]
        return document

    def _is_routed(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self.router.routes)
