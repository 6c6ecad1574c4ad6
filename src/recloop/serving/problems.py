"""The one form of an error, wherever it is found."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from recloop.serving.api import ErrorResponse, Problem
from recloop.serving.envelope import current_request_id


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
