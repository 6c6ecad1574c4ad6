"""OpenTelemetry spans of requests and stages, exported to OTEL_EXPORTER_OTLP_ENDPOINT where that is set.

Nothing about people is in them: no ids, no queries, no paths that have ids in them.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from recloop.logs import get_log

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NAME = "recloop"

log = get_log("tracing")


@cache
def tracer() -> trace.Tracer:
    """The process's own; BentoML has one beside it, whose spans name paths."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return trace.NoOpTracer()
    try:
        # An extra of its own: `pip install 'recloop[tracing]'`.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
    except ImportError:
        log.error("no traces: pip install 'recloop[tracing]'")
        return trace.NoOpTracer()
    return tracer_to(OTLPSpanExporter())


def tracer_to(exporter: "SpanExporter", *, at_once: bool = False) -> trace.Tracer:
    """A tracer whose spans go to `exporter`, in batches unless `at_once`; OTEL_* variables hold."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SimpleSpanProcessor,
    )

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: _NAME}
    provider = TracerProvider(resource=Resource.create(named))
    processor = SimpleSpanProcessor if at_once else BatchSpanProcessor
    provider.add_span_processor(processor(exporter))
    return provider.get_tracer(_NAME)


def span(name: str) -> AbstractContextManager[trace.Span]:
    """A span below the current one. Of an exception it keeps the kind alone, for messages quote data."""
    return nullcontext(trace.INVALID_SPAN) if _silent() else _span(name)


def traced(name: str, headers: Mapping[str, str]) -> AbstractContextManager[trace.Span]:
    """The span of a request, below the caller's where the headers name it (W3C trace context)."""
    return nullcontext(trace.INVALID_SPAN) if _silent() else _traced(name, headers)


def _silent() -> bool:
    """Nobody listens: every answer would pay a tenth for spans that go nowhere."""
    return isinstance(tracer(), trace.NoOpTracer)


@contextmanager
def _span(name: str) -> Iterator[trace.Span]:
    with tracer().start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(trace.StatusCode.ERROR, type(error).__qualname__)
            raise


@contextmanager
def _traced(name: str, headers: Mapping[str, str]) -> Iterator[trace.Span]:
    token = context.attach(TraceContextTextMapPropagator().extract(headers, context.Context()))
    try:
        with _span(name) as current:
            yield current
    finally:
        context.detach(token)
