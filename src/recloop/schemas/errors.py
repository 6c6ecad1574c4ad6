"""The body of every error response of the HTTP API."""

from typing import Annotated

from pydantic import Field

from recloop.schemas.base import Schema


class Problem(Schema):
    """An error: a code for programs, a message for people, and the fields concerned."""

    code: Annotated[str, Field(examples=["unknown_item"])]
    """Code of the error, which stays the same in later versions."""
    message: Annotated[str, Field(examples=["there is no item 'm1'"])]
    """Description of the error."""
    details: list[str] = []
    """Wrong fields of an invalid request, each with its error."""
    request_id: str | None = None
    """X-Request-ID of the response. The service's log has more lines with the same id."""


class ErrorResponse(Schema):
    """Body of every response with a status of 400 or above."""

    error: Problem
    """The error."""
