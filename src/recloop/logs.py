"""Structured logs, quiet by default: one line an event, on standard error."""

import contextlib
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import TextIO, cast

import structlog


def get_log(area: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry `area`. Level from RECLOOP_LOG (info), JSON with RECLOOP_LOG_JSON=1."""
    if not structlog.is_configured():
        _configure()
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(area=area))


class _Unbroken:
    """Standard error; a line that it does not take (a full disk) is lost, and the answer is not."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def _configure() -> None:
    level = logging.getLevelNamesMapping().get(os.environ.get("RECLOOP_LOG", "INFO").upper(), 20)
    as_json = os.environ.get("RECLOOP_LOG_JSON") == "1"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.processors.LogfmtRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unbroken())),
    )


def blame(error: BaseException) -> str:
    """What kind of error, and where it was raised; its message is left out, for it may quote data."""
    kind, places = type(error), traceback.extract_tb(error.__traceback__)
    at = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{kind.__module__}.{kind.__qualname__}{at}"
