"""Spans made in this process: HTTP server spans by the OpenTelemetry SDK, and finished spans of
other parts. Both go through the same spool as those of RT.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from nonrt_process.interfaces import FinishedSpan, ServerSpan
from nonrt_process.traces import otlp
from nonrt_process.traces.exemplars import HttpTimes
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.statistics import Statistics
from shared.config.models.tracing_config import TracingConfig
from shared.trace_context import FLAG_RANDOM, FLAG_SAMPLED, TraceContext

SCOPE: Final = "mxrc.nonrt"
TASK_PATHS: Final = "/api/v1/task"
HTTP_OPERATION: Final = "http.server"
_KINDS: Final = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}


class RateSampler(Sampler):
    """Head sampling of new traces by trace id, at rates that may change while it runs.

    Requests about tasks (/api/v1/task*) have a rate of their own: task_sampling_rate.
    """

    def __init__(self, config: TracingConfig) -> None:
        self.set_rates(config)

    def set_rates(self, config: TracingConfig, factor: float = 1.0) -> None:
        """Put the rates of a configuration in force, lowered by a factor."""
        self._general = TraceIdRatioBased(config.sampling_rate * factor)
        self._task = TraceIdRatioBased(config.task_sampling_rate * factor)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        path = "" if attributes is None else str(attributes.get("url.path", ""))
        task = path.startswith(TASK_PATHS)
        sampler = self._task if task else self._general
        return sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"RateSampler{{{self._general.get_description()},{self._task.get_description()}}}"


class _InboxProcessor(SpanProcessor):
    """Encodes finished spans of the SDK into the inbox."""

    def __init__(self, inbox: Inbox, origin: otlp.Origin) -> None:
        self._inbox = inbox
        self._origin = origin

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._inbox.put([_finished(self._origin, span, context)])


def _finished(origin: otlp.Origin, span: ReadableSpan, context: SpanContext) -> otlp.Finished:
    failed = span.status.status_code is trace.StatusCode.ERROR
    attributes = span.attributes or {}
    return otlp.Finished(
        origin,
        otlp.field(2, encode(span, context)),
        context.trace_id.to_bytes(16, "big"),
        context.span_id.to_bytes(8, "big"),
        span.name,
        str(attributes.get("task.id", "")),
        (span.status.description or str(attributes.get("error.type", "error"))) if failed else "",
        span.start_time or 0,
        span.end_time or 0,
    )


def encode(span: ReadableSpan, context: SpanContext) -> bytes:
    """A finished span of the SDK as an OTLP Span message."""
    parent = span.parent
    flags = int(context.trace_flags) | otlp.FLAG_PARENT_KNOWN
    if parent is not None and parent.is_remote:
        flags |= otlp.FLAG_PARENT_REMOTE
    values = {key: _plain(value) for key, value in (span.attributes or {}).items()}
    return otlp.span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=parent.span_id.to_bytes(8, "big") if parent is not None else b"",
        name=span.name,
        kind=_KINDS[span.kind.name],
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        attributes=otlp.attributes(values),
        status=span.status.status_code.value,
        status_message=span.status.description or "",
        flags=flags,
        trace_state=context.trace_state.to_header() if context.trace_state else "",
    )


def _plain(value: Any) -> otlp.AttributeValue:
    return value if isinstance(value, (str, bool, int, float)) else str(value)


class SdkServerTracer:
    """ServerTracer. The span is also the current one of its task: log lines get its ids."""

    def __init__(
        self,
        inbox: Inbox,
        statistics: Statistics,
        origin: otlp.Origin,
        sampler: RateSampler,
        resource: Mapping[str, otlp.AttributeValue],
        times: HttpTimes | None = None,
    ) -> None:
        self._times = times
        provider = TracerProvider(
            sampler=ParentBased(root=sampler),
            resource=Resource(dict(resource)),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(_InboxProcessor(inbox, origin))
        self._tracer = provider.get_tracer(SCOPE)
        self._statistics = statistics

    def start(
        self,
        method: str,
        path: str,
        parent: TraceContext | None,
        attributes: Mapping[str, Any],
        tracestate: str = "",
    ) -> ServerSpan:
        span = self._tracer.start_span(
            method,
            context=_as_context(parent, tracestate),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": path, **attributes},
        )
        random = FLAG_RANDOM if parent is None else parent.flags & FLAG_RANDOM
        return _SdkServerSpan(span, method, random, self._statistics, self._times)


def _as_context(parent: TraceContext | None, tracestate: str) -> Context:
    if parent is None:
        return Context()
    remote = SpanContext(
        int.from_bytes(parent.trace_id, "big"),
        int.from_bytes(parent.span_id, "big"),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags & FLAG_SAMPLED),
        trace_state=TraceState.from_header([tracestate]) if tracestate else None,
    )
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())


class _SdkServerSpan:
    """ServerSpan."""

    def __init__(
        self,
        span: Span,
        method: str,
        random_flag: int,
        statistics: Statistics,
        times: HttpTimes | None,
    ) -> None:
        self._times = times
        self._begun_s = time.perf_counter()
        self._span = span
        self._method = method
        self._statistics = statistics
        context = span.get_span_context()
        self._context = TraceContext(
            context.trace_id.to_bytes(16, "big"),
            context.span_id.to_bytes(8, "big"),
            (context.trace_flags & FLAG_SAMPLED) | random_flag,
        )
        self._token = otel_context.attach(trace.set_span_in_context(span))

    @property
    def context(self) -> TraceContext:
        return self._context

    def end(self, route: str | None, status_code: int, error: BaseException | None = None) -> None:
        span = self._span
        if route is not None:
            span.update_name(f"{self._method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status_code)
        if error is not None or status_code >= 500:
            kind = type(error).__name__ if error is not None else str(status_code)
            span.set_attribute("error.type", kind)
            span.set_status(trace.StatusCode.ERROR, str(error) if error is not None else None)
        span.end()
        if self._times is not None:
            self._times.observe(
                self._method,
                route,
                status_code,
                time.perf_counter() - self._begun_s,
                trace_id=self._context.trace_id.hex() if self._context.sampled else None,
                realtime_s=time.time(),
            )
        if self._context.sampled:
            self._statistics.count_operation(HTTP_OPERATION)
        with suppress(ValueError):  # ended in another task than it was started in
            otel_context.detach(self._token)


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
