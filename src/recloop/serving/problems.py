"""The one form of an error, wherever it is found."""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import JSONResponse

from recloop.serving.envelope import current_request_id


class Problem(BaseModel):
    """One error: a code for machines, a sentence for people, and where in the request it lies.

    `request_id`: what the answer's X-Request-ID says, by which the service's logs find it.
    """

    code: str
    message: str
    details: list[str] = []
    request_id: str | None = None


class ErrorResponse(BaseModel):
    """The body of every answer with a status of 400 and above."""

    error: Problem


def error_answer(
    status: int,
    code: str,
    message: str,
    details: list[str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An ErrorResponse that names the request it answers."""
    problem = Problem(
        code=code, message=message, details=details or [], request_id=current_request_id()
    )
    body = ErrorResponse(error=problem).model_dump()
    return JSONResponse(body, status_code=status, headers=headers)
