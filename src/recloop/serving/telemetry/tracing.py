"""OpenTelemetry spans of requests and stages.

They are exported if OTEL_EXPORTER_OTLP_ENDPOINT is set. Spans contain no personal data: no ids, no
queries, and routes instead of paths, which may contain ids.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from recloop.logs import get_log
from recloop.settings import read_settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_NAME = "recloop"

log = get_log("tracing")


@cache
def tracer() -> trace.Tracer:
    """Return the tracer of this process, which records nothing if no endpoint is set.

    It is separate from BentoML's tracer, whose spans contain paths.
    """
    if read_settings().otlp_endpoint is None:
        return trace.NoOpTracer()
    try:
        # An extra of its own: `pip install 'recloop[tracing]'`.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
    except ImportError:
        log.error("traces are off: pip install 'recloop[tracing]'")
        return trace.NoOpTracer()
    return build_tracer(OTLPSpanExporter())


def build_tracer(exporter: "SpanExporter", *, at_once: bool = False) -> trace.Tracer:
    """Return a tracer that exports its spans. The OTEL_* variables are in effect.

    Args:
        exporter: Exporter of the spans.
        at_once: Whether each span is exported when it ends, instead of in batches.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SimpleSpanProcessor,
    )

    resource = Resource.create({SERVICE_NAME: read_settings().otel_service_name})
    provider = TracerProvider(resource=resource)
    processor = SimpleSpanProcessor if at_once else BatchSpanProcessor
    provider.add_span_processor(processor(exporter))
    return provider.get_tracer(_NAME)


def span(name: str) -> AbstractContextManager[trace.Span]:
    """Open a child span of the current span.

    Of an exception, the span records the class but not the message, which may contain personal
    data.
    """
    return nullcontext(trace.INVALID_SPAN) if _is_off() else _span(name)


def request_span(name: str, headers: Mapping[str, str]) -> AbstractContextManager[trace.Span]:
    """Open the span of a request, a child of the caller's span in the W3C `traceparent` header."""
    return nullcontext(trace.INVALID_SPAN) if _is_off() else _request_span(name, headers)


def _is_off() -> bool:
    """Return whether no spans are exported.

    Spans that are not exported would still add a tenth to the CPU time of each response.
    """
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
def _request_span(name: str, headers: Mapping[str, str]) -> Iterator[trace.Span]:
    token = context.attach(TraceContextTextMapPropagator().extract(headers, context.Context()))
    try:
        with _span(name) as current:
            yield current
    finally:
        context.detach(token)
