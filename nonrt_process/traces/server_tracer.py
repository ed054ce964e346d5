"""Spans made in this process: server spans of HTTP requests, and finished spans of other parts.

Both go through the same spool as those of RT. The SDK of OpenTelemetry would take a third of the
time of a start of a task for its span: attributes that come again and again are encoded once here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from nonrt_process.interfaces import FinishedSpan, ServerSpan
from nonrt_process.traces import otlp
from nonrt_process.traces.exemplars import HttpTimes
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.statistics import Statistics
from shared.config.models.tracing_config import TracingConfig
from shared.trace_context import (
    FLAG_RANDOM,
    FLAG_SAMPLED,
    TraceContext,
    sampling_threshold,
    start_span,
)

SCOPE: Final = "mxrc.nonrt"
TASK_PATHS: Final = "/api/v1/task"
HTTP_OPERATION: Final = "http.server"
_KINDS: Final = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}


class Rates:
    """Head sampling of new traces by trace id, at rates that may change while it runs.

    Requests about tasks (/api/v1/task*) have a rate of their own: task_sampling_rate.
    """

    def __init__(self, config: TracingConfig) -> None:
        self.set_rates(config)

    def set_rates(self, config: TracingConfig, factor: float = 1.0) -> None:
        """Put the rates of a configuration in force, lowered by a factor."""
        self._general = sampling_threshold(config.sampling_rate * factor)
        self._task = sampling_threshold(config.task_sampling_rate * factor)

    def threshold(self, path: str) -> int:
        """Of a trace that begins with a request to `path`; see shared.trace_context."""
        return self._task if path.startswith(TASK_PATHS) else self._general


class HttpTracer:
    """ServerTracer. The span is also the current one of its task: log lines get its ids."""

    def __init__(
        self,
        inbox: Inbox,
        statistics: Statistics,
        origin: otlp.Origin,
        rates: Rates,
        times: HttpTimes | None = None,
    ) -> None:
        self.inbox = inbox
        self.statistics = statistics
        self.origin = origin
        self.times = times
        self._rates = rates

    def start(
        self,
        method: str,
        path: str,
        parent: TraceContext | None,
        attributes: Mapping[str, Any],
        tracestate: str = "",
    ) -> ServerSpan:
        context = start_span(parent, self._rates.threshold(path))
        begin = {"http.request.method": method, "url.path": path, **attributes}
        return _Span(self, method, parent, context, begin, tracestate)


class _Span:
    """ServerSpan."""

    def __init__(
        self,
        tracer: HttpTracer,
        method: str,
        parent: TraceContext | None,
        context: TraceContext,
        attributes: dict[str, Any],
        tracestate: str,
    ) -> None:
        self._tracer = tracer
        self._method = method
        self._parent = parent
        self._context = context
        self._attributes = attributes
        self._tracestate = tracestate
        self._begun_ns = time.time_ns()
        self._begun_s = time.perf_counter()
        self._token = otel_context.attach(trace.set_span_in_context(_Current(context)))

    @property
    def context(self) -> TraceContext:
        return self._context

    def end(self, route: str | None, status_code: int, error: BaseException | None = None) -> None:
        took_s = time.perf_counter() - self._begun_s
        tracer, context = self._tracer, self._context
        if context.sampled:
            tracer.inbox.put([self._finished(route, status_code, error)])
            tracer.statistics.count_operation(HTTP_OPERATION)
        if tracer.times is not None:
            tracer.times.observe(
                self._method,
                route,
                status_code,
                took_s,
                trace_id=context.trace_id.hex() if context.sampled else None,
                realtime_s=time.time(),
            )
        with suppress(ValueError):  # ended in another task than it was started in
            otel_context.detach(self._token)

    def _finished(
        self, route: str | None, status_code: int, error: BaseException | None
    ) -> otlp.Finished:
        attributes, context = self._attributes, self._context
        name = self._method
        if route is not None:
            name = f"{name} {route}"
            attributes["http.route"] = route
        attributes["http.response.status_code"] = status_code
        failed = error is not None or status_code >= 500
        kind = type(error).__name__ if error is not None else str(status_code)
        if failed:
            attributes["error.type"] = kind
        message = "" if error is None else str(error)
        end_ns = time.time_ns()
        flags = (context.flags & FLAG_SAMPLED) | otlp.FLAG_PARENT_KNOWN
        element = otlp.span(
            trace_id=context.trace_id,
            span_id=context.span_id,
            parent_span_id=b"" if self._parent is None else self._parent.span_id,
            name=name,
            kind=otlp.KIND_SERVER,
            start_ns=self._begun_ns,
            end_ns=end_ns,
            attributes=_encoded(tuple(attributes.items())),
            status=otlp.STATUS_ERROR if failed else otlp.STATUS_UNSET,
            status_message=message,
            flags=flags if self._parent is None else flags | otlp.FLAG_PARENT_REMOTE,
            trace_state=self._tracestate if self._parent is not None else "",
        )
        return otlp.Finished(
            self._tracer.origin,
            otlp.field(2, element),
            context.trace_id,
            context.span_id,
            name,
            "",
            (message or kind) if failed else "",
            self._begun_ns,
            end_ns,
        )


@lru_cache(maxsize=128)
def _encoded(attributes: tuple[tuple[str, Any], ...]) -> bytes:
    """The requests of one client to one path have the same ones."""
    return otlp.attributes(dict(attributes))


class _Current(NonRecordingSpan):
    """What OpenTelemetry's API finds as the current span: its context is made when asked for."""

    def __init__(self, context: TraceContext) -> None:
        self._of = context

    def get_span_context(self) -> SpanContext:
        return SpanContext(
            int.from_bytes(self._of.trace_id, "big"),
            int.from_bytes(self._of.span_id, "big"),
            is_remote=False,
            trace_flags=TraceFlags(self._of.flags & (FLAG_SAMPLED | FLAG_RANDOM)),
        )


class InboxSpanSink:
    """SpanSink."""

    def __init__(self, inbox: Inbox, statistics: Statistics, origin: otlp.Origin) -> None:
        self._inbox = inbox
        self._statistics = statistics
        self._origin = origin

    def record(self, spans: Sequence[FinishedSpan]) -> None:
        self._inbox.put(
            [
                otlp.Finished(
                    self._origin,
                    otlp.field(2, _encode_finished(span)),
                    span.trace_id,
                    span.span_id,
                    span.name,
                    str(span.attributes.get("task.id", "")),
                    span.error or "",
                    span.start_realtime_ns,
                    span.end_realtime_ns,
                )
                for span in spans
            ]
        )
        for span in spans:
            self._statistics.count_operation(span.name)


def _encode_finished(span: FinishedSpan) -> bytes:
    return otlp.span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        kind=_KINDS[span.kind],
        start_ns=span.start_realtime_ns,
        end_ns=span.end_realtime_ns,
        attributes=otlp.attributes(span.attributes),
        status=otlp.STATUS_ERROR if span.error else otlp.STATUS_UNSET,
        status_message=span.error or "",
        flags=FLAG_SAMPLED | otlp.FLAG_PARENT_KNOWN,
    )
