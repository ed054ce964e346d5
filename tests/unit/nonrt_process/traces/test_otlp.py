from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from nonrt_process.traces import otlp

IDS16 = st.binary(min_size=16, max_size=16)
IDS8 = st.binary(min_size=8, max_size=8)
TIMES = st.integers(0, (1 << 64) - 1)
VALUES = (
    st.text(max_size=300) | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats()
)


@given(st.integers(0, (1 << 64) - 1))
def test_varint_is_what_protobuf_reads(number: int) -> None:
    span = Span.FromString(b"\x50" + otlp.varint(number & 0xFFFFFFFF))
    assert span.dropped_attributes_count == number & 0xFFFFFFFF
    whole = otlp.varint(number)
    value = 0
    for shift, byte in enumerate(whole):
        value |= (byte & 0x7F) << (7 * shift)
    assert value == number


@given(
    trace_id=IDS16,
    span_id=IDS8,
    parent=IDS8,
    name=st.text(max_size=200),
    kind=st.integers(1, 5),
    start=TIMES,
    end=TIMES,
    attributes=st.dictionaries(st.text(max_size=20), VALUES, max_size=5),
    status=st.integers(0, 2),
    message=st.text(max_size=50),
    flags=st.integers(0, 0x3FF),
)
def test_a_span_is_read_as_it_was_meant(
    trace_id: bytes,
    span_id: bytes,
    parent: bytes,
    name: str,
    kind: int,
    start: int,
    end: int,
    attributes: dict[str, otlp.AttributeValue],
    status: int,
    message: str,
    flags: int,
) -> None:
    data = otlp.span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        name=name,
        kind=kind,
        start_ns=start,
        end_ns=end,
        attributes=otlp.attributes(attributes),
        status=status,
        status_message=message,
        flags=flags,
        trace_state="a=1",
    )
    span = Span.FromString(data)
    assert (span.trace_id, span.span_id) == (trace_id, span_id)
    assert span.parent_span_id == (parent if any(parent) else b"")
    assert (span.name, span.kind, span.flags) == (name, kind, flags)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (start, max(start, end))
    assert (span.status.code, span.status.message) == (status, message)
    assert span.trace_state == "a=1"
    assert len(span.attributes) == len(attributes)
    for pair in span.attributes:
        wanted = attributes[pair.key]
        found = getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        assert type(found) is type(wanted)
        assert found == wanted or (isinstance(wanted, float) and math.isnan(wanted))


def test_integers_beyond_64_bits_are_text() -> None:
    data = otlp.attribute("big", 1 << 63)
    assert Span.FromString(data).attributes[0].value.string_value == str(1 << 63)


def test_request_groups_by_origin_and_keeps_order() -> None:
    first = otlp.Origin.make({"service.name": "a", "process.pid": 7}, "rt", "1")
    second = otlp.Origin.make({"service.name": "b", "flag": True, "rate": 0.5}, "nonrt", "2")
    items = [
        otlp.Finished(
            first if n % 3 else second,
            otlp.field(
                2,
                otlp.span(
                    trace_id=bytes([1] * 16),
                    span_id=n.to_bytes(8, "big"),
                    parent_span_id=b"",
                    name=f"s{n}",
                    kind=1,
                    start_ns=1,
                    end_ns=2,
                ),
            ),
            bytes([1] * 16),
            n.to_bytes(8, "big"),
            f"s{n}",
            "",
            "",
            1,
            2,
        )
        for n in range(1, 10)
    ]
    request = ExportTraceServiceRequest.FromString(otlp.request(items))
    assert len(request.resource_spans) == 2
    one, two = request.resource_spans
    assert {a.key: a.value.string_value or a.value.int_value for a in one.resource.attributes} == {
        "service.name": "a",
        "process.pid": 7,
    }
    assert one.scope_spans[0].scope.name == "rt"
    assert [span.name for span in one.scope_spans[0].spans] == ["s1", "s2", "s4", "s5", "s7", "s8"]
    assert [span.name for span in two.scope_spans[0].spans] == ["s3", "s6", "s9"]


def test_empty_request() -> None:
    assert ExportTraceServiceRequest.FromString(otlp.request([])) == ExportTraceServiceRequest()
