"""A typed client of the service. Knows HTTP and the service's own types, nothing of what is behind them.

with Client("http://localhost:3000", key=os.environ["RECLOOP_KEY"]) as shop:
    answer = shop.recommend(RecommendRequest(user_id="42", k=5))
    shop.record([EventIn(...)])
"""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from recloop.serving.api import (
    EventIn,
    EventsRequest,
    EventsResponse,
    RecommendRequest,
    RecommendResponse,
)
from recloop.serving.catalogue_api import (
    DeletedResponse,
    ItemIn,
    ItemsRequest,
    ItemsResponse,
    Listing,
    PopularResponse,
    SimilarResponse,
)
from recloop.serving.privacy_api import Export, Receipt
from recloop.serving.problems import ErrorResponse, Problem

Answer = TypeVar("Answer", bound=BaseModel)

# What passes: too many requests, nothing to answer with yet, a store that is away.
_PASSING = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}
_PAUSES = (0.1, 0.5, 2.0)
_LONGEST_PAUSE = 10.0


class ServiceError(RuntimeError):
    """The service refused or failed: `problem` says what, `status` is that of HTTP."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{problem.code} ({status}): {problem.message}")
        self.status = status
        self.problem = problem


class Client:
    """Of one service; safe for threads.

    Every call may be sent again without counting twice, so each is: after a broken connection, a 429 or a
    503, at most three times. `seconds` bounds each try, `key` is an API key, `transport` and `sleep` are
    for tests.

    Raises, from every call:
        ServiceError: the answer is an error.
        httpx.TransportError: there is no answer.
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
        """Let the connections go."""
        self._http.close()

    def recommend(self, asked: RecommendRequest) -> RecommendResponse:
        """A ranked list."""
        return self._call("POST", "/v1/recommend", RecommendResponse, asked)

    def record(self, events: Sequence[EventIn]) -> EventsResponse:
        """What people did; on disk when this returns."""
        batch = EventsRequest(events=list(events))
        return self._call("POST", "/v1/events", EventsResponse, batch)

    def upsert(self, items: Sequence[ItemIn]) -> ItemsResponse:
        """New items, and new versions of known ones."""
        return self._call("POST", "/v1/items", ItemsResponse, ItemsRequest(items=list(items)))

    def delete(self, item_id: str) -> DeletedResponse:
        """Let an item go."""
        return self._call("DELETE", f"/v1/items/{_path(item_id)}", DeletedResponse)

    def similar(self, item_id: str, listing: Listing | None = None) -> SimilarResponse:
        """Items like this one."""
        path = f"/v1/items/{_path(item_id)}/similar"
        return self._call("GET", path, SimilarResponse, listing=listing)

    def popular(self, listing: Listing | None = None) -> PopularResponse:
        """What most people met, and what they met lately."""
        return self._call("GET", "/v1/popular", PopularResponse, listing=listing)

    def export(self, user_id: str) -> Export:
        """Everything that is held of a user."""
        return self._call("GET", f"/v1/users/{_path(user_id)}/export", Export)

    def erase(self, user_id: str) -> Receipt:
        """Erase a user."""
        return self._call("DELETE", f"/v1/users/{_path(user_id)}", Receipt)

    def _call(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: BaseModel | None = None,
        listing: Listing | None = None,
    ) -> Answer:
        request = self._http.build_request(
            method,
            path,
            content=body.model_dump_json(exclude_unset=True) if body else None,
            headers={"content-type": "application/json"} if body else None,
            params=listing.model_dump(exclude_unset=True) if listing else None,
        )
        answer = self._send(request)
        if answer.is_success:
            return kind.model_validate_json(answer.content)
        raise ServiceError(answer.status_code, _problem(answer))

    def _send(self, request: httpx.Request) -> httpx.Response:
        for pause in _PAUSES:
            try:
                answer = self._http.send(request)
            except httpx.TransportError:
                self._sleep(pause)
                continue
            if answer.status_code not in _PASSING:
                return answer
            self._sleep(max(pause, _asked_for(answer)))
        return self._http.send(request)


def _path(identity: str) -> str:
    return quote(identity, safe="")


def _asked_for(answer: httpx.Response) -> float:
    """Seconds to wait that the service named, within bounds."""
    told = answer.headers.get("retry-after", "")
    return min(float(told), _LONGEST_PAUSE) if told.isdecimal() else 0.0


def _problem(answer: httpx.Response) -> Problem:
    try:
        return ErrorResponse.model_validate_json(answer.content).error
    except ValidationError:  # of something in between, a proxy say
        return Problem(code="no_answer", message=answer.reason_phrase)
