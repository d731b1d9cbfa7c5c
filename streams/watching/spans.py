"""Spans: the trace of one command, from its client over the processor to its rows.

The W3C `traceparent` header of a command's record is the parent of the processor's span; the events and the outcome
carry that span on, and are the parents of the workers' spans. Spans go wherever the process's OpenTelemetry provider
sends them: an application sets one when it is imported, or `opentelemetry-instrument` does.

Promises: records without the header cost a look at their headers; without a provider nothing is made, and the header is
passed on as it came; what is no traceparent is passed on too, and means nothing.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
_PROPAGATOR = TraceContextTextMapPropagator()


def is_on() -> bool:
    """Return whether somebody wants spans. Ask once a batch at most."""
    return isinstance(trace.get_tracer_provider(), TracerProvider)


def traceparent(headers: Iterable[tuple[str, Any]] | None) -> bytes | None:
    """Return the header of a record, if it has one."""
    for name, value in headers or ():
        if name == HEADER and isinstance(value, bytes):
            return value
    return None


class DecideSpan:
    """The processor's span of one command; `carried` is what its events and its outcome carry."""

    def __init__(self, parent: bytes, on: bool, attributes: Mapping[str, Any]) -> None:
        """Begin, if spans are on and the parent is one."""
        self._span: Span | None = None
        self.carried = parent
        context = _context(parent) if on else None
        if context is not None:
            name = f"decide {attributes['kafold.command']}"
            self._span = _tracer().start_span(name, context, SpanKind.CONSUMER, attributes)
            self.carried = _header(self._span) or parent

    def end(self, status: str) -> None:
        """End: the command's transaction has committed."""
        if self._span is not None:
            self._span.set_attribute("kafold.status", status)
            self._span.end()


def project_spans(duty: str, topic: str, partition: int, records: Iterable[Any], seconds: float) -> None:
    """Make the spans of a worker's batch, which is committed: one for each event that carries a traceparent."""
    end_ns = time.time_ns()
    for record in records:
        parent = traceparent(record.headers) if record.headers else None
        context = None if parent is None else _context(parent)
        if context is not None:
            place = {"kafold.topic": topic, "kafold.partition": partition, "kafold.offset": record.offset}
            span = _tracer().start_span(
                f"{duty} event", context, SpanKind.CONSUMER, place, start_time=end_ns - int(seconds * 1e9)
            )
            span.end(end_ns)


def _context(parent: bytes) -> Context | None:
    found = _PROPAGATOR.extract({HEADER: parent.decode(errors="replace")})
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def _header(span: Span) -> bytes | None:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return carrier[HEADER].encode() if HEADER in carrier else None


def _tracer() -> trace.Tracer:
    return trace.get_tracer("kafold")
