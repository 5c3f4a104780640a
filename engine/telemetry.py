"""Traces in OpenTelemetry's words: a request, its run, the run's nodes, what these call.

Spans say what ran, for whom and how long; never what was said. While nothing is traced a span
costs a look at a context variable.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from langgraph.errors import GraphBubbleUp
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engine.scope import Scope

Attributes = Mapping[str, str | int]

tracer: ContextVar[Tracer | None] = ContextVar("frontdesk_tracer", default=None)
"""What spans are made with in this context; None while nothing is traced."""

_W3C = TraceContextTextMapPropagator()


class Tracing:
    """Begins the spans that others are part of. Without a tracer it begins none."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer

    @property
    def on(self) -> bool:
        return self._tracer is not None

    @contextmanager
    def request(self, name: str, headers: Mapping[str, str], facts: Attributes) -> Iterator[Span]:
        """An HTTP request, part of the trace that its headers name."""
        with self._within(name, SpanKind.SERVER, _W3C.extract(headers, Context()), facts) as opened:
            yield opened

    @contextmanager
    def run(self, run: Scope, attempt: int, traceparent: str | None) -> Iterator[Span]:
        """One attempt at a run, part of the trace of the request that asked for it."""
        facts: Attributes = {
            "frontdesk.graph": run.graph,
            "frontdesk.run_id": run.run_id,
            "frontdesk.thread_id": run.thread_id,
            "frontdesk.tenant": run.tenant,
            "frontdesk.attempt": attempt,
        }
        parent = _W3C.extract({"traceparent": traceparent or ""}, Context())
        with self._within(f"run {run.graph}", SpanKind.CONSUMER, parent, facts) as opened:
            yield opened

    @contextmanager
    def _within(
        self, name: str, kind: SpanKind, parent: Context, facts: Attributes
    ) -> Iterator[Span]:
        if self._tracer is None:
            yield INVALID_SPAN
            return
        token = tracer.set(self._tracer)
        try:
            with _started(self._tracer, name, kind, parent, facts) as opened:
                yield opened
        finally:
            tracer.reset(token)


@contextmanager
def span(name: str, facts: Attributes, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """Part of the current span while the block is open, if that is recorded."""
    using = tracer.get()
    if using is None or not get_current_span().is_recording():
        yield INVALID_SPAN
        return
    with _started(using, name, kind, None, facts) as opened:
        yield opened


@contextmanager
def _started(
    using: Tracer, name: str, kind: SpanKind, parent: Context | None, facts: Attributes
) -> Iterator[Span]:
    opened = using.start_span(name, parent, kind, dict(facts))
    with use_span(opened, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield opened
        except GraphBubbleUp:  # an interrupt is no error
            raise
        except Exception as error:
            fail(error)
            raise


def fail(error: BaseException, failed: Span | None = None) -> None:
    """Note on a span, or else the current one, what class of error ended it."""
    failed = failed or get_current_span()
    failed.set_attribute("error.type", type(error).__qualname__)
    failed.set_status(Status(StatusCode.ERROR))


def traceparent() -> str | None:
    """The current span in W3C's words, for whoever goes on with the trace."""
    carrier: dict[str, str] = {}
    if tracer.get() is not None:
        _W3C.inject(carrier)
    return carrier.get("traceparent")


def ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the current span, in hex; nothing when nothing is traced."""
    if tracer.get() is None:
        return {}
    current = get_current_span().get_span_context()
    return {
        "trace_id": format_trace_id(current.trace_id),
        "span_id": format_span_id(current.span_id),
    }
