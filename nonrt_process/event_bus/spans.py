"""Span eventbus.process: an observer's work on one event, as a child of who published it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context import Context as OtelContext

from nonrt_process.context import Context
from nonrt_process.interfaces import BusEvent, FinishedSpan, SpanSink
from shared.trace_context import FLAG_SAMPLED, TraceContext

if TYPE_CHECKING:
    from shared.anchors import Anchors

NAME: Final = "eventbus.process"
_ERROR_CHARACTERS: Final = 256


class Span:
    """One under way. context: parent of what the observer causes. error: set when it fails."""

    def __init__(self, context: TraceContext | None) -> None:
        self.context = context
        self.error: str | None = None


class ProcessSpans:
    """anchors: of the segment in force, set by the consumer; None while there is none."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.anchors: Anchors | None = None

    @contextmanager
    def around(self, observer: str, event: BusEvent) -> Iterator[Span]:
        """The span, current for the log lines of this thread, recorded at the end if sampled."""
        parent = event.trace
        tracing = self._context.config.current.tracing_config
        sink = self._context.get(SpanSink)
        if parent is None or not parent.sampled or not tracing.instrumentation.eventbus:
            sink = None
        own = parent.child() if sink is not None and parent is not None else parent
        span = Span(own)
        begun_ns = self._context.clock.monotonic_ns()
        token = otel_context.attach(_current(own))
        try:
            yield span
        finally:
            otel_context.detach(token)
            if sink is not None and own is not None and parent is not None:
                lasted_ns = self._context.clock.monotonic_ns() - begun_ns
                start_ns = self.realtime_ns(begun_ns)
                sink.record(
                    [
                        FinishedSpan(
                            NAME,
                            own.trace_id,
                            own.span_id,
                            parent.span_id,
                            start_ns,
                            start_ns + lasted_ns,
                            _attributes(observer, event),
                            None if span.error is None else span.error[:_ERROR_CHARACTERS],
                            "CONSUMER",
                        )
                    ]
                )

    def realtime_ns(self, monotonic_ns: int) -> int:
        """Wall-clock time as RT's spans have it: a step of the clock moves none of them apart."""
        anchors = self.anchors
        if anchors is not None:
            return anchors.realtime_ns(monotonic_ns)
        clock = self._context.clock
        return clock.realtime_ns() - (clock.monotonic_ns() - monotonic_ns)


def _attributes(observer: str, event: BusEvent) -> dict[str, str | int | float | bool]:
    attributes: dict[str, str | int | float | bool] = {
        "eventbus.topic": event.topic,
        "eventbus.observer": observer,
    }
    if event.source == "rt":
        attributes["task.id"] = event.task_id
        attributes["mxrc.execution_id"] = event.execution_id
        attributes["rt.cycle"] = event.cycle
    return attributes


def _current(context: TraceContext | None) -> OtelContext:
    if context is None:
        return OtelContext()
    identity = otel.SpanContext(
        int.from_bytes(context.trace_id, "big"),
        int.from_bytes(context.span_id, "big"),
        is_remote=False,
        trace_flags=otel.TraceFlags(context.flags & FLAG_SAMPLED),
    )
    return otel.set_span_in_context(otel.NonRecordingSpan(identity), OtelContext())
