from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from nonrt_process.interfaces import FinishedSpan
from nonrt_process.traces import otlp
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.server_tracer import HttpTracer, InboxSpanSink, Rates
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from shared.config.models.tracing_config import TracingConfig
from shared.trace_context import FLAG_SAMPLED, TraceContext, is_sampled, sampling_threshold

ORIGIN = otlp.Origin.make({"service.name": "test"}, "scope", "1")
PARENT = TraceContext(bytes([1] * 16), bytes([2] * 8), FLAG_SAMPLED)
START = "/api/v1/task/start"


class Setup:
    def __init__(self, rate: float = 1.0, task_rate: float = 1.0) -> None:
        self.inbox = Inbox()
        self.statistics = Statistics(self.inbox, Spool(None, logging.getLogger("test.spool")))
        self.rates = Rates(TracingConfig(sampling_rate=rate, task_sampling_rate=task_rate))
        self.tracer = HttpTracer(self.inbox, self.statistics, ORIGIN, self.rates)

    def spans(self) -> list[Span]:
        return [ScopeSpans.FromString(one.element).spans[0] for one in self.inbox.take_all()]


def attributes(found: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in found.attributes
    }


def test_a_request_with_a_parent() -> None:
    setup = Setup()
    span = setup.tracer.start("POST", START, PARENT, {"client.address": "127.0.0.1"})
    current = trace.get_current_span().get_span_context()
    assert current.span_id.to_bytes(8, "big") == span.context.span_id
    span.end(START, 202)
    assert not trace.get_current_span().get_span_context().is_valid
    (found,) = setup.spans()
    assert found.name == f"POST {START}"
    assert found.kind == Span.SPAN_KIND_SERVER
    assert found.trace_id == PARENT.trace_id == span.context.trace_id
    assert found.parent_span_id == PARENT.span_id
    assert found.span_id == span.context.span_id
    assert found.flags & otlp.FLAG_PARENT_REMOTE
    assert found.start_time_unix_nano <= found.end_time_unix_nano
    assert attributes(found) == {
        "http.request.method": "POST",
        "url.path": START,
        "http.route": START,
        "http.response.status_code": 202,
        "client.address": "127.0.0.1",
    }
    assert setup.statistics.spans_by_operation() == {"http.server": 1}


def test_the_tracestate_of_the_caller_is_on_the_span() -> None:
    setup = Setup()
    setup.tracer.start("GET", "/x", PARENT, {}, "vendor=1,other=a:b").end("/x", 200)
    (found,) = setup.spans()
    assert found.trace_state == "vendor=1,other=a:b"


def test_the_governor_lowers_the_rates_of_new_traces_only() -> None:
    setup = Setup(1, 1)
    setup.rates.set_rates(TracingConfig(sampling_rate=1.0), 0.0)
    for parent, sampled in ((None, False), (PARENT, True)):
        span = setup.tracer.start("GET", "/x", parent, {})
        assert span.context.sampled is sampled
        span.end("/x", 200)


def test_a_parent_that_is_not_sampled_is_obeyed_and_its_trace_goes_on() -> None:
    setup = Setup()
    parent = TraceContext(PARENT.trace_id, PARENT.span_id, 0)
    span = setup.tracer.start("GET", "/x", parent, {})
    span.end(None, 404)
    assert setup.spans() == []
    assert span.context.trace_id == parent.trace_id
    assert span.context.span_id != parent.span_id
    assert not span.context.sampled


@pytest.mark.parametrize(
    ("path", "rate", "task_rate", "sampled"),
    [
        ("/x", 0, 1, False),
        (START, 0, 1, True),
        ("/api/v1/tasks", 0, 1, True),
        ("/x", 1, 0, True),
        (START, 1, 0, False),
    ],
)
def test_rates_of_new_traces(path: str, rate: float, task_rate: float, sampled: bool) -> None:
    setup = Setup(rate, task_rate)
    span = setup.tracer.start("POST", path, None, {})
    assert span.context.sampled is sampled
    span.end(path, 200)
    assert len(setup.spans()) == sampled


def test_rates_change_while_it_runs() -> None:
    setup = Setup(0, 0)
    setup.rates.set_rates(TracingConfig(sampling_rate=1.0))
    span = setup.tracer.start("GET", "/x", None, {})
    assert span.context.sampled
    span.end(None, 200)


def test_errors() -> None:
    setup = Setup()
    setup.tracer.start("GET", "/a", None, {}).end("/a", 500, ValueError("broken"))
    setup.tracer.start("GET", "/b", None, {}).end("/b", 503)
    setup.tracer.start("GET", "/c", None, {}).end("/c", 404)
    thrown, unavailable, missing = setup.spans()
    assert (thrown.status.code, thrown.status.message) == (otlp.STATUS_ERROR, "broken")
    assert attributes(thrown)["error.type"] == "ValueError"
    assert unavailable.status.code == otlp.STATUS_ERROR
    assert missing.status.code == otlp.STATUS_UNSET


@given(st.binary(min_size=16, max_size=16), st.floats(0, 1))
def test_the_core_decides_as_the_sdk_does(trace_id: bytes, rate: float) -> None:
    decided = TraceIdRatioBased(rate).should_sample(None, int.from_bytes(trace_id, "big"), "x")
    sampled = decided.decision.is_sampled()  # type: ignore[no-untyped-call]
    assert sampled == is_sampled(trace_id, sampling_threshold(rate))


def test_finished_spans_of_other_parts() -> None:
    setup = Setup()
    sink = InboxSpanSink(setup.inbox, setup.statistics, ORIGIN)
    sink.record(
        [
            FinishedSpan("rt.cycle", bytes([1] * 16), bytes([2] * 8), b"", 10, 20, {"rt.cycle": 5}),
            FinishedSpan(
                "eventbus.process",
                bytes([1] * 16),
                bytes([3] * 8),
                bytes([2] * 8),
                10,
                20,
                error="no",
                kind="CONSUMER",
            ),
        ]
    )
    cycle, process = setup.spans()
    assert attributes(cycle) == {"rt.cycle": 5}
    assert process.kind == Span.SPAN_KIND_CONSUMER
    assert process.status.message == "no"
    assert setup.statistics.spans_by_operation() == {"rt.cycle": 1, "eventbus.process": 1}
