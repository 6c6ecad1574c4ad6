"""The API's routes and errors, as a FastAPI application over an Engine."""

from collections.abc import Callable
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
from recloop.data.pseudonyms import IDS, Pseudonyms
from recloop.logs import blame, get_log
from recloop.recommender.arms import UnknownArmError
from recloop.recommender.recommender import UnknownItemError
from recloop.serving.api import (
    EventsRequest,
    EventsResponse,
    RecommendedItem,
    RecommendRequest,
    RecommendResponse,
)
from recloop.serving.door import known, stored
from recloop.serving.engine import Engine
from recloop.serving.feedback import count_events, count_list
from recloop.serving.items import routes
from recloop.serving.metrics import exposition, metrics
from recloop.serving.page import docs_page
from recloop.serving.privacy import privacy_routes
from recloop.serving.problems import ErrorResponse
from recloop.serving.problems import error_answer as _error
from recloop.serving.security import GuardedApi, SecurityConfig
from recloop.serving.situation import NoModelError
from recloop.serving.wishes import Explanation

MAX_BODY_BYTES = 2_000_000

log = get_log("serving")

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in (400, 401, 403, 411, 413, 422, 429, 500, 503)
}


def create_app(
    engine: Callable[[], Engine],
    security: SecurityConfig | None = None,
    pseudonyms: Pseudonyms = IDS,
) -> FastAPI:
    """The application; `engine` is asked for at every request, when the service is up.

    The engine knows users by their `pseudonyms` only, and clients by their ids.
    """
    app = GuardedApi(
        title="recloop",
        version=__version__,
        summary="Recommendations that follow what a person is doing right now.",
        docs_url=None,
        redoc_url=None,
        responses=_ERRORS,
    )

    @app.post("/v1/recommend", tags=["recommend"], response_model=RecommendResponse)
    async def recommend(asked: RecommendRequest) -> Response:
        """A ranked list for a user, a session, a query, or all of them together."""
        with metrics().seconds.labels("recommend").time():
            served, ranked, degraded = await engine().recommend(known(asked, pseudonyms))
        count_list(served)
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
                    reasons=item.contributions if asked.explain else None,
                    explanation=[Explanation(**vars(reason)) for reason in item.reasons]
                    if asked.explain
                    else None,
                )
                for position, item in enumerate(ranked, start=1)
            ],
        )
        # As it is: it was checked when it was made, and the framework would check it again.
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.post("/v1/events", tags=["events"])
    def events(batch: EventsRequest) -> EventsResponse:
        """Feedback: stored before the answer, and part of the user's very next recommendation."""
        with metrics().seconds.labels("events").time():
            new = engine().ingest([stored(event, pseudonyms) for event in batch.events])
        count_events(batch.events, new)
        return EventsResponse(accepted=len(new), duplicates=len(batch.events) - len(new))

    app.include_router(routes(engine, pseudonyms))

    @app.get("/metrics", include_in_schema=False)
    def measured() -> Response:
        content, kind = exposition()
        return Response(content, media_type=kind)

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return docs_page()

    app.include_router(privacy_routes(engine, pseudonyms))
    app.add_middleware(LimitBody)
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


class LimitBody:
    """Refuses bodies that are too large, or do not say how large they are, before reading them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            length = dict(scope["headers"]).get(b"content-length", b"")
            refusal = _refuse(length)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refuse(length: bytes) -> JSONResponse | None:
    if not length.isdigit():
        return _error(411, "length_required", "The request says how long its body is.")
    if int(length) > MAX_BODY_BYTES:
        return _error(413, "body_too_large", f"A body has {MAX_BODY_BYTES} bytes at most.")
    return None


def _invalid(_: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    details = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems[:20]]
    if any(problem["type"] == "json_invalid" for problem in problems):
        return _error(400, "invalid_json", "The body is not valid JSON.", details)
    return _error(422, "invalid_request", "The request does not fit the schema.", details)


def _no_model(_: Request, error: Exception) -> JSONResponse:
    return _error(503, "no_model", str(error))


def _unknown_item(_: Request, error: Exception) -> JSONResponse:
    return _error(404, "unknown_item", str(error))


def _unknown_arm(_: Request, error: Exception) -> JSONResponse:
    return _error(422, "unknown_arm", str(error))


def _store_down(_: Request, error: Exception) -> JSONResponse:
    log.error("event store not available", error=blame(error))
    return _error(503, "store_unavailable", "Nothing can be stored right now; send it again.")


def _unexpected(_: Request, error: Exception) -> JSONResponse:
    log.error("unexpected", error=blame(error))
    return _error(500, "internal_error", "Something went wrong here; it has been logged.")


def _http(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == HTTPStatus.BAD_REQUEST:  # the framework's own, for a body that it cannot parse
        return _error(400, "invalid_json", "The body is not valid JSON.")
    phrase = HTTPStatus(status).phrase
    return _error(status, phrase.lower().replace(" ", "_"), f"{phrase}.")
