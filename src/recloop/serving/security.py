"""Security of the API as one thing that is switched on by the environment."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Field, ValidationError, field_validator
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from recloop.config import ConfigError, Home, Settings
from recloop.serving.auth import Guard, scope_of
from recloop.serving.envelope import REQUEST_ID, Envelope
from recloop.serving.limits import TokenBuckets
from recloop.serving.observed import Observed
from recloop.store.keyring import KeyRing

AUTH, RATE, BURST, ORIGINS = (
    "RECLOOP_AUTH",
    "RECLOOP_RATE_LIMIT",
    "RECLOOP_RATE_BURST",
    "RECLOOP_CORS_ORIGINS",
)
_ORIGIN = re.compile(r"https?://[^/\s*]+")
_SCHEME = "key"


class SecurityConfig(Settings):
    """What is switched on; nothing by default.

    `keys`: the file or the URL of API keys, None to ask for none. `rate`: requests a second of one caller,
    `burst` of them at once, by default as many as two seconds bring. `origins`: of browser pages.
    """

    keys: Path | str | None = None
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    origins: list[str] = []

    @field_validator("origins")
    @classmethod
    def _exact(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin like https://shop.example")
        return origins

    @classmethod
    def from_environment(cls) -> "SecurityConfig":
        """From RECLOOP_AUTH (off, keys), RECLOOP_RATE_LIMIT, RECLOOP_RATE_BURST, RECLOOP_CORS_ORIGINS.

        Raises:
            ConfigError: one of them does not fit; what is meant to protect is never ignored.
        """
        auth = os.environ.get(AUTH) or "off"
        if auth not in {"off", "keys"}:
            raise ConfigError(f"{AUTH} is {auth!r}; it may be off or keys")
        names = {"rate": RATE, "burst": BURST, "origins": ORIGINS}
        found = {
            "keys": Home.from_environment().keyring if auth == "keys" else None,
            "rate": os.environ.get(RATE) or None,
            "burst": os.environ.get(BURST) or None,
            "origins": os.environ.get(ORIGINS, "").replace(",", " ").split(),
        }
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            problem = error.errors()[0]
            raise ConfigError(f"{names[str(problem['loc'][0])]}: {problem['msg']}") from error

    def buckets(self) -> TokenBuckets | None:
        """The limits of this process, None where there are none."""
        if self.rate is None:
            return None
        return TokenBuckets(self.rate, self.burst or max(1, round(2 * self.rate)))


class GuardedApi(FastAPI):
    """An application whose every answer passes the Envelope, and whose OpenAPI tells the scopes."""

    _keys_needed = False

    def guard(self, security: SecurityConfig) -> None:
        """Put the guard before everything that was added so far. Call it last."""
        self._keys_needed = security.keys is not None
        self.add_middleware(
            Guard,
            ring=KeyRing(security.keys) if security.keys else None,
            buckets=security.buckets(),
            answered=self._answers,
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
        """The framework's stack, its handler of mistakes included, inside the Envelope."""
        return Envelope(Observed(super().build_middleware_stack()))

    def openapi(self) -> dict[str, Any]:
        """The contract; where keys are needed, with the scope of every operation."""
        contract = super().openapi()
        if self._keys_needed:
            schemes = contract.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes[_SCHEME] = {"type": "http", "scheme": "bearer"}
            for path, operations in contract["paths"].items():
                for method, operation in operations.items():
                    scope = scope_of(method.upper(), path)
                    operation["security"] = [{_SCHEME: [scope.value] if scope else []}]
        return contract

    def _answers(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self.router.routes)
