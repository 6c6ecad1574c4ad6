"""FastAPI application of the HTTP API: routes and errors."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from recloop import __version__
from recloop.data.pseudonyms import NO_PSEUDONYMS, Pseudonyms
from recloop.logs import error_location, get_log
from recloop.recommender.lists.experiments import UnknownArmError
from recloop.recommender.recommender import UnknownItemError
from recloop.schemas.errors import ErrorResponse
from recloop.schemas.recommend import (
    EventsRequest,
    EventsResponse,
    Explanation,
    RecommendedItem,
    RecommendRequest,
    RecommendResponse,
)
from recloop.serving.engine import Engine
from recloop.serving.errors import error_response as _error
from recloop.serving.execution.request_context import NoModelError
from recloop.serving.middleware.security import GuardedApi, SecurityConfig
from recloop.serving.pseudonymisation import pseudonymise_request, to_stored_event
from recloop.serving.routes.catalogue_routes import catalogue_routes
from recloop.serving.routes.privacy_routes import privacy_routes
from recloop.serving.routes.swagger import docs_page
from recloop.serving.telemetry.event_metrics import count_events, count_served_list
from recloop.serving.telemetry.prometheus import metrics, render_metrics

MAX_BODY_BYTES = 2_000_000

log = get_log("serving")

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not valid JSON."},
    401: {"description": "A valid API key is required."},
    403: {"description": "The API key does not have the required scope."},
    411: {"description": "Content-Length is required."},
    413: {"description": f"The body is longer than {MAX_BODY_BYTES} bytes."},
    422: {"description": "The request does not match the schema, or names an unknown arm."},
    429: {"description": "The rate limit is exceeded. Retry-After has the seconds to wait."},
    500: {"description": "Internal error. The service has logged it under the request id."},
    503: {"description": "No model is served yet, or the store is not available."},
}
for _response in _ERRORS.values():
    _response["model"] = ErrorResponse


_DESCRIPTION = """\
Self-hosted recommendations. Send items and events, and request lists for users, sessions and search
queries. Events and items are in effect from the next request on.

If API keys are on, send `Authorization: Bearer KEY`. Each operation requires one scope. Every
response has an `X-Request-ID`, which a client may choose. Every error has the same form.
"""
_TAGS = [
    {"name": "recommend", "description": "Lists for a user, a session or a search query."},
    {"name": "events", "description": "What users do."},
    {"name": "catalogue", "description": "Change items; list similar and popular items."},
    {"name": "privacy", "description": "Erase and export the data of one user."},
]


def create_app(
    engine: Engine,
    security: SecurityConfig | None = None,
    pseudonyms: Pseudonyms = NO_PSEUDONYMS,
) -> FastAPI:
    """Return the application over an engine.

    Args:
        engine: Engine, which gets pseudonyms of users only.
        security: API keys, rate limits and allowed origins. None: no protection.
        pseudonyms: Pseudonyms of the user ids that clients send.
    """
    app = GuardedApi(
        title="recloop",
        version=__version__,
        summary="Recommendations from histories, current sessions and search queries.",
        docs_url=None,
        redoc_url=None,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        responses=_ERRORS,
    )

    @app.post(
        "/v1/recommend",
        tags=["recommend"],
        summary="Recommend items",
        response_model=RecommendResponse,
        response_description="The list. It is empty if no item meets the conditions.",
    )
    async def recommend(request: RecommendRequest) -> Response:
        """Recommend items for a user, a session, a search query, or a combination of them.

        The list is stored, so that events with its `request_id` count as its outcomes. If a part of
        the service fails or is late, the list is produced without it and `degraded` names the part.
        """
        with metrics().seconds.labels("recommend").time():
            served, ranked, degraded = await engine.recommend(
                pseudonymise_request(request, pseudonyms)
            )
        count_served_list(served)
        answer = RecommendResponse(
            request_id=served.request_id,
            model_version=served.model_version,
            arm=served.arm,
            degraded=[stage.value for stage in degraded],
            items=[
                RecommendedItem(
                    item_id=item.item_id,
                    score=item.score,
                    position=position,
                    propensity=item.propensity,
                    reasons=item.contributions if request.explain else None,
                    explanation=[Explanation(**vars(reason)) for reason in item.reasons]
                    if request.explain
                    else None,
                )
                for position, item in enumerate(ranked, start=1)
            ],
        )
        # A plain response: with a model as return value, FastAPI would validate it a second time.
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.post(
        "/v1/events",
        tags=["events"],
        summary="Store events",
        response_description="The events are stored on disk.",
    )
    def events(batch: EventsRequest) -> EventsResponse:
        """Store events, which are part of the user's history from the next request on.

        After a failure, send the batch again: an `event_id` counts once.
        """
        with metrics().seconds.labels("events").time():
            new = engine.ingest([to_stored_event(event, pseudonyms) for event in batch.events])
        count_events(batch.events, new)
        return EventsResponse(accepted=len(new), duplicates=len(batch.events) - len(new))

    app.include_router(catalogue_routes(engine, pseudonyms))

    @app.get("/metrics", include_in_schema=False)
    def prometheus() -> Response:
        content, kind = render_metrics()
        return Response(content, media_type=kind)

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return docs_page()

    app.include_router(privacy_routes(engine, pseudonyms))
    app.add_middleware(BodySizeLimit)
    app.guard(security or SecurityConfig())
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NoModelError, _no_model)
    app.add_exception_handler(UnknownItemError, _unknown_item)
    app.add_exception_handler(UnknownArmError, _unknown_arm)
    app.add_exception_handler(HTTPException, _http)
    for error in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(error, _store_down)
    app.add_exception_handler(Exception, _unexpected)
    return app


class BodySizeLimit:
    """Middleware that refuses a POST request without Content-Length or with too large a body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 411 or 413 to a POST without an acceptable length; pass any other request on."""
        if scope["type"] == "http" and scope["method"] == "POST":
            length = dict(scope["headers"]).get(b"content-length", b"")
            refusal = _refuse(length)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refuse(length: bytes) -> JSONResponse | None:
    if not length.isdigit():
        return _error(411, "length_required", "Content-Length is required.")
    # Python reads no number of thousands of digits; leading zeros do not count.
    digits = length.lstrip(b"0") or b"0"
    if len(digits) > len(str(MAX_BODY_BYTES)) or int(digits) > MAX_BODY_BYTES:
        return _error(
            413, "body_too_large", f"The body must not be longer than {MAX_BODY_BYTES} bytes."
        )
    return None


def _invalid(_: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    details = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems[:20]]
    if any(problem["type"] == "json_invalid" for problem in problems):
        return _error(400, "invalid_json", "The body is not valid JSON.", details)
    return _error(422, "invalid_request", "The request does not match the schema.", details)


def _no_model(_: Request, error: Exception) -> JSONResponse:
    return _error(503, "no_model", str(error))


def _unknown_item(_: Request, error: Exception) -> JSONResponse:
    return _error(404, "unknown_item", str(error))


def _unknown_arm(_: Request, error: Exception) -> JSONResponse:
    return _error(422, "unknown_arm", str(error))


def _store_down(_: Request, error: Exception) -> JSONResponse:
    log.error("event store not available", error=error_location(error))
    return _error(
        503, "store_unavailable", "The event store is not available; send the request again."
    )


def _unexpected(_: Request, error: Exception) -> JSONResponse:
    log.error("unexpected", error=error_location(error))
    return _error(500, "internal_error", "Internal error; the service has logged it.")


def _http(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == HTTPStatus.BAD_REQUEST:  # raised by FastAPI for a body that it cannot parse
        return _error(400, "invalid_json", "The body is not valid JSON.")
    phrase = HTTPStatus(status).phrase
    return _error(status, phrase.lower().replace(" ", "_"), f"{phrase}.")
