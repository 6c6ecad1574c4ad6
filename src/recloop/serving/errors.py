"""Error responses, which have the same form for every error."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from recloop.schemas.errors import ErrorResponse, Problem
from recloop.serving.middleware.response_headers import current_request_id


def error_response(
    status: int,
    code: str,
    message: str,
    details: list[str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a response whose body is an `ErrorResponse` with the request's id."""
    problem = Problem(
        code=code, message=message, details=details or [], request_id=current_request_id()
    )
    body = ErrorResponse(error=problem).model_dump()
    return JSONResponse(body, status_code=status, headers=headers)
