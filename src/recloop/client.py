"""Typed client of the HTTP service. Needs httpx and pydantic only."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from recloop.schemas.catalogue import (
    DeletedResponse,
    ItemIn,
    ItemsRequest,
    ItemsResponse,
    Listing,
    PopularResponse,
    SimilarResponse,
)
from recloop.schemas.errors import ErrorResponse, Problem
from recloop.schemas.privacy import Export, Receipt
from recloop.schemas.recommend import (
    EventIn,
    EventsRequest,
    EventsResponse,
    RecommendRequest,
    RecommendResponse,
)

Response = TypeVar("Response", bound=BaseModel)

# Temporary conditions: too many requests, no model yet, the store is down.
_TEMPORARY = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}
_PAUSES = (0.1, 0.5, 2.0)
_LONGEST_PAUSE = 10.0


class ServiceError(RuntimeError):
    """The service returned an error.

    Attributes:
        status: HTTP status.
        problem: The error as the service describes it.
    """

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{problem.code} ({status}): {problem.message}")
        self.status = status
        self.problem = problem


class Client:
    """Client of one service, safe to use from several threads.

    Every call is repeated up to three times after a broken connection and after status 429 or 503;
    none of them counts twice.

    Example:
        with Client("http://localhost:3000", key=os.environ.get("RECLOOP_API_KEY")) as client:
            response = client.recommend(RecommendRequest(user_id="42", k=5))

    Args:
        url: Address of the service.
        key: API key, if the service asks for one.
        seconds: Time limit of each attempt.
        transport: HTTP transport, for tests.
        sleep: Function that waits between attempts, for tests.

    Raises:
        ServiceError: The service returned an error. Every call may raise it.
        httpx.TransportError: There was no response. Every call may raise it.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        seconds: float = 5.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=seconds, transport=transport
        )
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def recommend(self, request: RecommendRequest) -> RecommendResponse:
        """Return a ranked list."""
        return self._call("POST", "/v1/recommend", RecommendResponse, request)

    def record(self, events: Sequence[EventIn]) -> EventsResponse:
        """Store events. They are on disk when this method returns."""
        batch = EventsRequest(events=list(events))
        return self._call("POST", "/v1/events", EventsResponse, batch)

    def upsert(self, items: Sequence[ItemIn]) -> ItemsResponse:
        """Add items, or replace items that exist."""
        return self._call("POST", "/v1/items", ItemsResponse, ItemsRequest(items=list(items)))

    def delete(self, item_id: str) -> DeletedResponse:
        """Delete an item."""
        return self._call("DELETE", f"/v1/items/{_path(item_id)}", DeletedResponse)

    def similar(self, item_id: str, listing: Listing | None = None) -> SimilarResponse:
        """Return items that are similar to an item."""
        path = f"/v1/items/{_path(item_id)}/similar"
        return self._call("GET", path, SimilarResponse, listing=listing)

    def popular(self, listing: Listing | None = None) -> PopularResponse:
        """Return the most popular items, overall and recently."""
        return self._call("GET", "/v1/popular", PopularResponse, listing=listing)

    def export(self, user_id: str) -> Export:
        """Return all data that are stored about a user."""
        return self._call("GET", f"/v1/users/{_path(user_id)}/export", Export)

    def erase(self, user_id: str) -> Receipt:
        """Erase the data of a user and return the receipt."""
        return self._call("DELETE", f"/v1/users/{_path(user_id)}", Receipt)

    def _call(
        self,
        method: str,
        path: str,
        kind: type[Response],
        body: BaseModel | None = None,
        listing: Listing | None = None,
    ) -> Response:
        request = self._http.build_request(
            method,
            path,
            content=body.model_dump_json(exclude_unset=True) if body else None,
            headers={"content-type": "application/json"} if body else None,
            params=listing.model_dump(exclude_unset=True) if listing else None,
        )
        response = self._send(request)
        if response.is_success:
            return kind.model_validate_json(response.content)
        raise ServiceError(response.status_code, _problem(response))

    def _send(self, request: httpx.Request) -> httpx.Response:
        for pause in _PAUSES:
            try:
                response = self._http.send(request)
            except httpx.TransportError:
                self._sleep(pause)
                continue
            if response.status_code not in _TEMPORARY:
                return response
            self._sleep(max(pause, _requested_pause(response)))
        return self._http.send(request)


def _path(identity: str) -> str:
    return quote(identity, safe="")


def _requested_pause(response: httpx.Response) -> float:
    """Return the seconds in the response's `Retry-After` header, at most ten; 0 without one."""
    seconds = response.headers.get("retry-after", "")
    return min(float(seconds), _LONGEST_PAUSE) if seconds.isdecimal() else 0.0


def _problem(response: httpx.Response) -> Problem:
    try:
        return ErrorResponse.model_validate_json(response.content).error
    except ValidationError:  # the response comes from something else, such as a proxy
        return Problem(code="no_answer", message=response.reason_phrase)
