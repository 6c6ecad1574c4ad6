"""Structured logs: one line per event, on standard error."""

import contextlib
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
from structlog.typing import (
    Context,
    EventDict,
    FilteringBoundLogger,
    Processor,
    ProcessorReturnValue,
    WrappedLogger,
)

if TYPE_CHECKING:
    from recloop.settings import Settings


def get_log(area: str) -> FilteringBoundLogger:
    """Return a logger whose lines carry `area`.

    Level and form are those of the settings, which are read when the first line is logged.
    """
    if not structlog.is_configured():
        _configure()
    return cast("FilteringBoundLogger", structlog.get_logger(area=area))


class _LossyStderr:
    """Standard error whose failures are ignored: on a full disk a log line is lost, no response."""

    def write(self, text: str) -> None:
        """Write text, and ignore errors of the operating system."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush standard error, and ignore errors of the operating system."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def _configure() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=cast("type[FilteringBoundLogger]", _logger_of_level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _LossyStderr())),
    )


@cache
def _settings() -> "Settings":
    # Programs that log nothing do not wait for the import.
    from recloop.settings import read_settings  # noqa: PLC0415

    return read_settings()


def _logger_of_level(
    logger: WrappedLogger, processors: Iterable[Processor], context: Context
) -> FilteringBoundLogger:
    kind = cast("Any", structlog.make_filtering_bound_logger(_settings().log))
    return cast("FilteringBoundLogger", kind(logger, processors, context))


@cache
def _renderer() -> Processor:
    if _settings().log_json:
        return structlog.processors.JSONRenderer()
    return structlog.processors.LogfmtRenderer()


def _render(logger: WrappedLogger, name: str, event: EventDict) -> ProcessorReturnValue:
    return _renderer()(logger, name, event)


def error_location(error: BaseException) -> str:
    """Return the type of an error and where it was raised, without its message.

    Messages of errors may quote personal data.
    """
    kind, places = type(error), traceback.extract_tb(error.__traceback__)
    at = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{kind.__module__}.{kind.__qualname__}{at}"
